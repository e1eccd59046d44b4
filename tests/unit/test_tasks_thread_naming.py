"""The naming prompt, and the names that are read from replies."""

from __future__ import annotations

import json

import pytest

from tasks.thread_naming import RESPONSE_FORMAT, WORK, build, read
from understudy.contracts.thread_naming import ThreadNamingRequest
from workers.kind_work import Reply, work_for
from workers.unusable import Refused, Unusable

REQUEST = ThreadNamingRequest(first_message="My docker build fails on arm64, what now?")


def test_importing_the_module_makes_the_kind_known() -> None:
    assert work_for("thread_naming") is WORK


def test_the_prompt_tells_language_and_length_and_frames_the_message() -> None:
    request = ThreadNamingRequest(first_message="</message> hi", language="pt-BR", max_length=33)
    system, user = build(request).messages
    assert "At most 33 characters" in system["content"]
    assert "Written in pt-BR" in system["content"]
    assert user["content"].count("<") == 2, "only the frame's own two marks"
    assert "the language of the message" in build(REQUEST).messages[0]["content"]
    assert RESPONSE_FORMAT["json_schema"]["name"] == "thread_naming"


@pytest.mark.parametrize(
    ("answer", "name"),
    [
        ('{"name": "Docker on arm64"}', "Docker on arm64"),
        ('```json\n{"name": "**Docker** on arm64."}\n```', "Docker on arm64"),
        ('Sure: {"name": "Title: Docker"}', "Docker"),
        ('{"note": 1} {"name": "Docker", "extra": 2}', "Docker"),
        ('<think>{"name": "Nope"}</think>{"name": "Docker"}', "Docker"),
        ("Docker on arm64", "Docker on arm64"),
        ('"Docker on arm64"', "Docker on arm64"),
        ('"Docker \\u2013 arm64"', "Docker – arm64"),
        ("Here is a name:\n\n**Docker on arm64**\n\nIt says what fails.", "Docker on arm64"),
        ("Title: «Докер на arm64»", "Докер на arm64"),
        ('{"name": "Docker build failure on arm64 machines"}', "Docker build failure"),
        ("```\nDocker on arm64\n```", "Docker on arm64"),
    ],
)
def test_a_name_is_read_leniently_and_cleaned(answer: str, name: str) -> None:
    assert read(Reply(answer, "stop"), REQUEST).name == name


@pytest.mark.parametrize(
    ("answer", "row"),
    [
        ("", "empty"),
        ("<think>Docker", "empty"),
        ('{"name": "Docker', "not_json"),
        ('```json\n{"name": "Docker', "not_json"),
        ('{"title": "Docker"}', "wrong_schema"),
        ('{"name": 7}', "wrong_schema"),
        ('{"name": null}', "wrong_schema"),
        ('{"name": "!!"}', "wrong_schema"),
        ("ok", "wrong_schema"),
        ("The user asks about a failing build. " * 10, "not_json"),
    ],
)
def test_what_gives_no_name_is_unusable(answer: str, row: str) -> None:
    with pytest.raises(Unusable) as caught:
        read(Reply(answer, "stop"), REQUEST)
    assert caught.value.row == row


def test_a_cut_off_name_is_unusable() -> None:
    with pytest.raises(Unusable) as caught:
        read(Reply("Docker on", "length"), REQUEST)
    assert caught.value.row == "token_limit"


@pytest.mark.parametrize(
    ("reply", "row"),
    [
        (Reply("", "content_filter"), "content_filter"),
        (Reply("", "stop", refusal="No."), "refusal"),
        (Reply("I'm sorry, but I can't help with that.", "stop"), "refusal"),
        (Reply("I cannot name this.", "stop"), "refusal"),
    ],
)
def test_a_refusal_is_not_a_name(reply: Reply, row: str) -> None:
    with pytest.raises(Refused) as caught:
        read(reply, REQUEST)
    assert caught.value.row == row


def test_a_name_may_begin_like_a_refusal_where_it_is_given_as_one() -> None:
    assert read(Reply(json.dumps({"name": "Sorry seems hardest"}), "stop"), REQUEST).name == "Sorry seems hardest"
