"""What a stand-in understands of a request and answers to it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from workers.stand_in.answers import reply_to, thread_name, tokens_of, verdict
from workers.stand_in.ask import Ask, AskError, read_ask
from workers.stand_in.fate import Fate


def ask(*written: str, schema: dict[str, Any] | None = None, **more: Any) -> Ask:
    messages = [{"role": "system", "content": "Rules: no spam, win a prize"}]
    messages += [{"role": "user", "content": text} for text in written]
    body: dict[str, Any] = {"model": "llama3.2", "messages": messages, **more}
    if schema is not None:
        body["response_format"] = {"type": "json_schema", "json_schema": schema}
    return read_ask(json.dumps(body).encode())


@pytest.mark.parametrize(
    ("text", "violation", "action"),
    [
        ("Free entry to win £1000 cash! Text WIN to 87121 now, www.win.example.com", "spam", "delete"),
        ("URGENT! You have won a guaranteed prize, call 09061701461 to claim", "spam", "delete"),
        ("You are an idiot and everybody knows it", "toxic", "warn"),
        ("Does anybody know how to reset the router after an update?", None, "none"),
        ("ok", None, "none"),
        ("", None, "none"),
    ],
)
def test_a_verdict_follows_from_the_words_of_a_message(text: str, violation: str | None, action: str) -> None:
    given = verdict(text)
    assert (given["violation"], given["action"]) == (violation, action)
    assert set(given) == {"helpful", "violation", "quality_score", "action", "reason"}
    assert 0 <= given["quality_score"] <= 10
    assert "stand-in" in given["reason"]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("How do I install PostgreSQL on Debian?", "Install PostgreSQL"),
        ("Привет, роутер не работает", "Привет роутер не"),
        ("如何在树莓派上安装数据库", "如何在树莓派上安装数据库"),
        ("a" * 50, "A" + "a" * 19),
        ("🎉🎉🎉", "🎉🎉🎉"),
        ("hi", "New thread"),
        ("", "New thread"),
    ],
)
def test_a_thread_is_named_by_its_first_significant_words(text: str, name: str) -> None:
    assert thread_name(text, 20) == name


def test_the_schema_name_decides_the_kind_and_its_longest_name_is_kept() -> None:
    schema = {"name": "thread_naming", "schema": {"properties": {"name": {"type": "string", "maxLength": 8}}}}
    naming = ask("Install PostgreSQL on Debian", schema=schema)
    assert (naming.kind, json.loads(reply_to(naming, Fate()).text)) == ("thread_naming", {"name": "Install"})
    assert ask("hello there", schema={"name": "moderation"}).kind == "moderation"
    assert ask("hello there", schema={"name": "invoice"}).kind == "text"
    assert ask("hello there").kind == "text"


def test_what_is_judged_is_the_framed_message_also_when_it_is_asked_again() -> None:
    framed = "Rules: nobody may win a prize.\n<message-7f3a>\nhello there\n</message-7f3a>\nJudge it."
    again = ask(framed, "The answer was not JSON. Claim your free prize.", schema={"name": "moderation"})
    assert again.subject == "hello there"
    assert again.newest.startswith("The answer")
    assert ask("first", "second", schema={"name": "moderation"}).subject == "first"
    assert ask("first", "second").subject == "second"


def test_the_text_in_a_framed_json_object_is_the_subject_and_is_found_by_a_fate() -> None:
    framed = '<message-7f3a>\n{\n "text": "a \\u003cboom\\u003e",\n "author": "winner"\n}\n</message-7f3a>\nJudge it.'
    asked = ask(framed, "Answer again.", schema={"name": "moderation"})
    assert asked.subject == "a <boom>"
    assert asked.holds("<boom>")
    assert asked.holds("again")
    assert not asked.holds("winner")


def test_a_free_text_answer_says_that_it_is_a_stand_ins() -> None:
    assert reply_to(ask("Tell me something"), Fate()).text.startswith("(stand-in)")


def test_tokens_joined_are_the_text() -> None:
    for text in ("", "  two  words \n", "一个没有空格的很长的句子", "x" * 100):
        assert "".join(tokens_of(text)) == text


def test_an_answer_is_cut_at_the_token_limit_of_the_request() -> None:
    reply = reply_to(ask("Tell me something", max_tokens=3), Fate())
    assert (len(reply.tokens), reply.finish_reason) == (3, "length")


@pytest.mark.parametrize(("limit", "finish"), [(None, "length"), (99, "length"), (100, "stop"), (500, "stop")])
def test_a_fated_token_limit_is_lifted_by_a_higher_one_in_the_request(limit: int | None, finish: str) -> None:
    asked = ask("hello there", schema={"name": "moderation"}, max_tokens=limit)
    assert reply_to(asked, Fate(answer="length", needs_tokens=100)).finish_reason == finish


def test_parts_of_a_message_are_read_as_its_text() -> None:
    body = {
        "model": "m",
        "messages": [{"role": "user", "content": [{"type": "text", "text": "hello"}, {"type": "image"}]}],
    }
    assert read_ask(json.dumps(body).encode()).newest == "hello"


@pytest.mark.parametrize(
    ("raw", "sentence"),
    [
        (b"{", "the body must be JSON"),
        (b"\xff", "the body must be JSON"),
        (b"[]", "the body must be a JSON object"),
        (b'{"messages": [{}]}', "model must be a text"),
        (b'{"model": "m", "messages": []}', "messages must be a list of at least one object"),
        (b'{"model": "m", "messages": ["x"]}', "messages must be a list of at least one object"),
        (b'{"model": "m", "messages": [{}], "max_tokens": 0}', "max_tokens must be a whole number of at least 1"),
    ],
)
def test_a_request_no_provider_would_take_is_refused_in_one_sentence(raw: bytes, sentence: str) -> None:
    with pytest.raises(AskError, match=f"^{sentence}$"):
        read_ask(raw)
