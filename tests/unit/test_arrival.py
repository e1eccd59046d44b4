"""A message as it arrives: what is taken from it, and those that are no call."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.health import OLLAMA, OPENAI
from understudy.contracts import KINDS
from understudy.contracts.ids import call_id_for
from understudy.contracts.kind import request_hash
from understudy.errors import InvalidRequest, VersionMismatch
from workers.arrival import Arrival, read_arrival

SECRET = "what a user wrote"
REQUEST = {"text": SECRET}
PROVIDERS = {"ollama": OLLAMA, "openai": OPENAI}
OURS = {"v": 1, "sent": 1_700_000_000_000}


def arrive(
    request: object = None, call: object = None, dispatch: object = None, queue: str = "ollama", **more: Any
) -> Arrival:
    about = {"id": "c1", "delivery_info": {"routing_key": queue}} | more
    return read_arrival(about, "moderation", request, call, dispatch, providers=PROVIDERS, token="t")


def test_our_own_message_carries_an_id_and_a_time() -> None:
    got = arrive(dispatch=OURS)
    assert got == Arrival("c1", "moderation", "ollama", OLLAMA, 1_700_000_000_000, "t", None)


@pytest.mark.parametrize(("queue", "provider"), [("ollama", OLLAMA), ("openai.batch", OPENAI)])
def test_the_queue_tells_the_provider(queue: str, provider: Any) -> None:
    got = arrive(dispatch=OURS, queue=queue)
    assert (got.queue, got.provider) == (queue, provider)


def test_a_plain_callers_message_brings_the_request_its_options_and_its_canvas() -> None:
    call = {"deadline_s": 4.5, "spend": "never", "user_id": "u1"}
    got = arrive(REQUEST, call, callbacks=[{"task": "then"}], ignore_result=False)
    assert got.adopt is not None
    assert got.sent == 0
    assert json.loads(got.adopt.request)["text"] == SECRET
    assert json.loads(got.adopt.opts) == call
    assert json.loads(got.adopt.canvas) == {"link": [{"task": "then"}], "ignore_result": False}
    assert (got.adopt.kind, got.adopt.deadline_ms) == ("moderation", 4_500)
    assert got.adopt.rhash == request_hash("moderation", KINDS["moderation"].parse(REQUEST))


def test_without_a_deadline_the_kinds_own_holds() -> None:
    got = arrive(REQUEST)
    assert got.adopt is not None
    assert got.adopt.deadline_ms == KINDS["moderation"].deadline_s * 1000


def test_a_plain_callers_message_that_we_published_again_has_both() -> None:
    got = arrive(REQUEST, dispatch=OURS)
    assert got.adopt is not None
    assert got.sent == OURS["sent"]


def test_a_key_names_the_call_and_the_task_keeps_its_own_id() -> None:
    got = arrive(REQUEST, {"key": "chat:1"})
    assert (got.call_id, got.task) == (call_id_for("moderation", "chat:1"), "c1")
    plain = arrive(REQUEST)
    assert (plain.call_id, plain.task) == ("c1", None)


def test_a_message_that_tells_a_task_names_the_call() -> None:
    got = arrive(dispatch=OURS | {"id": "c0"})
    assert (got.call_id, got.task, got.adopt) == ("c0", "c1", None)


NO_CALL: list[tuple[str, dict[str, Any], str]] = [
    ("nothing in it", {}, "request is missing"),
    ("a request that is text", {"request": SECRET}, "request"),
    ("a request that is a list", {"request": [SECRET]}, "request"),
    ("a request that is a number", {"request": 7}, "request"),
    ("a request without its text", {"request": {}}, "text"),
    ("an empty text", {"request": {"text": ""}}, "text"),
    ("a text too long", {"request": {"text": SECRET * 1_000}}, "8,000"),
    ("a field that is not in the contract", {"request": REQUEST | {"colour": SECRET}}, "colour"),
    ("options that are text", {"request": REQUEST, "call": SECRET}, "call"),
    ("a deadline that is text", {"request": REQUEST, "call": {"deadline_s": SECRET}}, "deadline_s"),
    ("a deadline that is past", {"request": REQUEST, "call": {"deadline_s": -1.0}}, "deadline_s"),
    ("a spend that is none", {"request": REQUEST, "call": {"spend": SECRET}}, "spend"),
    ("a dispatch that is text", {"dispatch": SECRET}, "dispatch"),
    ("a dispatch that is a list", {"dispatch": [1, 2]}, "dispatch"),
    ("a dispatch without a time", {"dispatch": {"v": 1}}, "dispatch"),
    ("a dispatch whose time is text", {"dispatch": {"v": 1, "sent": SECRET}}, "dispatch"),
    ("a dispatch whose time is a truth", {"dispatch": {"v": 1, "sent": True}}, "dispatch"),
    ("a dispatch whose time is broken", {"dispatch": {"v": 1, "sent": 1.5}}, "dispatch"),
    ("a dispatch whose time is before all time", {"dispatch": {"v": 1, "sent": -5}}, "dispatch"),
    ("a dispatch whose time no clock shows", {"dispatch": {"v": 1, "sent": 10**400}}, "dispatch"),
    ("a dispatch whose call is a number", {"dispatch": OURS | {"id": 7}}, "dispatch.id"),
    ("a dispatch whose call has no name", {"dispatch": OURS | {"id": ""}}, "dispatch.id"),
    ("a dispatch whose call has too long a name", {"dispatch": OURS | {"id": SECRET * 10}}, "dispatch.id"),
    ("a queue of no provider", {"dispatch": OURS, "queue": "gone"}, "ollama, openai"),
    ("no queue at all", {"dispatch": OURS, "delivery_info": None}, "ollama, openai"),
]


@pytest.mark.parametrize(("what", "message", "named"), NO_CALL, ids=[row[0] for row in NO_CALL])
def test_a_message_that_is_no_call_is_refused_in_a_sentence(what: str, message: dict[str, Any], named: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        arrive(**message)
    said = str(refused.value)
    assert named in said
    assert SECRET not in said
    assert said.endswith(".")
    assert len(said) < 400


@pytest.mark.parametrize("version", [2, 99, None, SECRET, [], -1])
def test_a_message_of_another_version_is_refused_without_its_text(version: object) -> None:
    with pytest.raises(VersionMismatch) as refused:
        arrive(dispatch={"v": version, "sent": 5})
    assert SECRET not in str(refused.value)
    assert "reads 0 and 1" in str(refused.value)
