"""The actions of Flower's page, as its body of JSON asks for them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from understudy.errors import InvalidRequest
from workers.flower_page.acting import NEEDS, Action, read_action

FIELDS = "provider, queue, call, reason, why, for_s, limit, before_ms"


def body(**fields: Any) -> bytes:
    return json.dumps(fields).encode()


@pytest.mark.parametrize(
    ("fields", "action", "target"),
    [
        ({"action": "force", "provider": "openai", "for_s": 90}, {"provider": "openai", "for_s": 90}, "openai"),
        ({"action": "force", "provider": " openai "}, {"provider": "openai"}, "openai"),
        ({"action": "unforce"}, {}, ""),
        ({"action": "clear"}, {}, ""),
        ({"action": "clear", "provider": None}, {}, ""),
        ({"action": "clear", "provider": "openai"}, {"provider": "openai"}, ""),
        ({"action": "pause", "queue": "ollama", "for_s": 1.5}, {"queue": "ollama", "for_s": 1.5}, "ollama"),
        ({"action": "resume", "queue": "ollama"}, {"queue": "ollama"}, "ollama"),
        ({"action": "cancel", "call": "a"}, {"call": "a"}, "a"),
        ({"action": "retry", "call": "a"}, {"call": "a"}, "a"),
        ({"action": "retry_cause", "reason": "timeout", "limit": 5}, {"reason": "timeout", "limit": 5}, "timeout"),
    ],
)
def test_a_good_body_is_an_action(fields: dict[str, Any], action: dict[str, Any], target: str) -> None:
    read = read_action(body(why="to see", **fields))
    assert read == Action(fields["action"], "to see", **action)
    assert read.target == target


@pytest.mark.parametrize("name", NEEDS)
def test_each_action_says_why_and_what_it_means(name: str) -> None:
    given = {"action": name, "why": "x", **({NEEDS[name]: "x"} if NEEDS[name] else {})}
    assert read_action(body(**given)).name == name
    for field in filter(None, ("why", NEEDS[name])):
        for empty in ("", "  ", None):
            with pytest.raises(InvalidRequest) as caught:
                read_action(body(**{**given, field: empty}))
            assert str(caught.value) == f"{name}: {field} is missing."


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"action": "drop"}, f"action must be one of {', '.join(NEEDS)}."),
        ({}, f"action must be one of {', '.join(NEEDS)}."),
        ({"action": ["force"]}, f"action must be one of {', '.join(NEEDS)}."),
        ({"action": "unforce", "who": "ann"}, f"unforce: there is no field 'who'; there are {FIELDS}."),
        ({"action": "unforce", "why": 7}, "unforce: why must be a text of at most 500 characters."),
        ({"action": "cancel", "call": "x" * 501}, "cancel: call must be a text of at most 500 characters."),
        ({"action": "force", "for_s": "30"}, "force: for_s must be a number from 1 to 86,400."),
        ({"action": "force", "for_s": True}, "force: for_s must be a number from 1 to 86,400."),
        ({"action": "force", "for_s": 0.5}, "force: for_s must be a number from 1 to 86,400."),
        ({"action": "force", "for_s": 86_401}, "force: for_s must be a number from 1 to 86,400."),
        ({"action": "force", "for_s": float("nan")}, "force: for_s must be a number from 1 to 86,400."),
        ({"action": "force", "for_s": float("inf")}, "force: for_s must be a number from 1 to 86,400."),
        ({"action": "force", "for_s": 10**400}, "force: for_s must be a number from 1 to 86,400."),
        ({"action": "retry_cause", "limit": 1.5}, "retry_cause: limit must be a whole number from 1 to 10,000."),
        (
            {"action": "retry_cause", "before_ms": 0},
            f"retry_cause: before_ms must be a whole number from 1 to {2**53:,}.",
        ),
        ({"action": "retry_cause", "limit": 0}, "retry_cause: limit must be a whole number from 1 to 10,000."),
    ],
)
def test_a_wrong_field_is_named_with_its_limit(fields: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read_action(body(**fields))
    assert str(caught.value) == sentence


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"7", b"null", b'"x"', b"\xff", b"[" * 100_000, b"1" * 10_000])
def test_what_is_no_json_object_is_refused(text: bytes) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read_action(text)
    assert str(caught.value) == "The body must be a JSON object."
