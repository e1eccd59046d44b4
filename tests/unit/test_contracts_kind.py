"""The kinds, the identity of a request, and ids."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest

from understudy.contracts import KINDS
from understudy.contracts.ids import call_id_for, new_call_id
from understudy.contracts.kind import request_hash

REQUESTS: dict[str, dict[str, Any]] = {
    "moderation": {"text": "Привет", "chat_id": -100123, "author": "Ann"},
    "thread_naming": {"first_message": "How do I build this?", "language": "pt-BR"},
    "agent_turn": {
        "system": "Be brief.",
        "messages": [
            {"role": "user", "content": "Weather?", "name": "ann"},
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "w", "arguments": "{}"}}],
            },
            {"role": "tool", "content": "", "tool_call_id": "c1"},
        ],
        "max_tokens": 50,
        "temperature": 0,
    },
}


def test_the_kinds_are_three_with_their_deadlines() -> None:
    assert {name: kind.deadline_s for name, kind in KINDS.items()} == {
        "moderation": 30.0,
        "thread_naming": 15.0,
        "agent_turn": 120.0,
    }


def test_only_a_name_can_be_made_without_a_provider() -> None:
    assert [name for name, kind in KINDS.items() if kind.degraded] == ["thread_naming"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_request_survives_json(kind: str) -> None:
    request = KINDS[kind].parse(REQUESTS[kind])
    assert KINDS[kind].parse(json.loads(request.model_dump_json())) == request


@pytest.mark.parametrize("kind", KINDS)
def test_the_hash_is_that_of_the_meaning_not_of_the_spelling(kind: str) -> None:
    data = REQUESTS[kind]
    request = KINDS[kind].parse(data)
    turned = KINDS[kind].parse(dict(reversed(data.items())))
    spelled_out = KINDS[kind].parse(request.model_dump(mode="json"))
    assert request_hash(kind, request) == request_hash(kind, turned) == request_hash(kind, spelled_out)
    assert len(request_hash(kind, request)) == 64


def test_another_request_or_kind_has_another_hash() -> None:
    parse = KINDS["moderation"].parse
    hashes = {
        request_hash("moderation", parse({"text": "a"})),
        request_hash("moderation", parse({"text": "b"})),
        request_hash("moderation", parse({"text": "a", "rules": "none"})),
        request_hash("other", parse({"text": "a"})),
    }
    assert len(hashes) == 4


def test_a_key_gives_the_same_id_each_time_and_another_for_each_kind() -> None:
    assert call_id_for("moderation", "chat:1") == call_id_for("moderation", "chat:1")
    assert call_id_for("moderation", "chat:1") == "d4705f90-8335-5e60-8532-c906a57346e6", "keys in use depend on it"
    assert call_id_for("moderation", "chat:1") != call_id_for("thread_naming", "chat:1")
    assert call_id_for("moderation", "chat:1") != call_id_for("moderation", "chat:2")


def test_a_new_id_is_a_uuid_of_its_own() -> None:
    assert len({str(uuid.UUID(new_call_id())) for _ in range(100)}) == 100
