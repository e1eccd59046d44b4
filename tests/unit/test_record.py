"""The record of a call as the ledger holds it: read from strings, of this version and the one before."""

from __future__ import annotations

import json
from typing import Any

import pytest

from understudy.contracts.call import FORMAT_VERSION, Attempt, CallOptions, Reason, Spend, Status
from understudy.contracts.outcomes import failed_outcome
from understudy.errors import VersionMismatch
from understudy.state.record import STATES, Record, check_version, read_attempts

RAW = {
    "v": "1",
    "st": "R",
    "kind": "moderation",
    "request": '{"text":"hi"}',
    "opts": '{"spend":"never","local_only":true}',
    "deadline": "1700000030000",
    "created": "1700000000000",
    "prov": "ollama",
    "queue": "ollama.batch",
    "epoch": "1700000000007",
    "turn": "3",
    "tried": "ollama vllm ",
    "left": "openai ",
    "nb:ollama": "1700000001000",
    "attempts": '{"provider":"ollama","what":"refused","ms":3}\n{"provider":"vllm","what":"reset","new_field":1}',
    "plain": "1",
    "first": "1700000000400",
    "ended": "1700000002000",
}


def read(**changed: str) -> Record:
    return Record.read("c1", RAW | changed)


def test_every_field_is_read_in_its_type() -> None:
    record = read()
    assert (record.state, STATES[record.state], record.has_ended) == ("R", "running", False)
    assert record.options == CallOptions(spend=Spend.NEVER, local_only=True)
    assert (record.deadline, record.epoch, record.turn) == (1_700_000_030_000, 1_700_000_000_007, 3)
    assert (sorted(record.tried), sorted(record.left)) == (["ollama", "vllm"], ["openai"])
    assert record.not_before == {"ollama": 1_700_000_001_000}
    assert [attempt.what for attempt in record.attempts] == ["refused", "reset"]
    assert (record.plain, record.told, record.batch) == (True, False, True)


def test_what_a_young_record_lacks_is_nothing() -> None:
    bare = {name: RAW[name] for name in ("v", "st", "kind", "request", "deadline", "created")}
    record = Record.read("c1", bare)
    assert (record.crashes, record.attempts, record.not_before, record.tried) == (0, (), {}, frozenset())
    assert record.options == CallOptions()


@pytest.mark.parametrize("number", ["1700000000000", "1.7e+12", "1700000000000.0"])
def test_a_number_is_read_however_a_script_wrote_it(number: str) -> None:
    assert read(deadline=number).deadline == 1_700_000_000_000


@pytest.mark.parametrize("state", "DFX")
def test_a_call_that_ended_says_so(state: str) -> None:
    assert read(st=state).has_ended


ENDS: list[tuple[dict[str, str], Status, str]] = [
    ({"st": "F", "reason": "deadline"}, Status.FAILED, Reason.DEADLINE),
    ({"st": "F", "reason": "quarantined"}, Status.FAILED, Reason.QUARANTINED),
    ({"st": "F", "reason": ""}, Status.FAILED, Reason.NO_PROVIDER),
    ({"st": "X", "reason": "cancelled"}, Status.CANCELLED, Reason.CANCELLED),
]


@pytest.mark.parametrize(("fields", "status", "reason"), ENDS)
def test_an_end_that_a_script_wrote_is_put_together_from_the_record(
    fields: dict[str, str], status: Status, reason: str
) -> None:
    outcome = read(outcome="", **fields).parsed_outcome()
    assert (outcome.status, outcome.reason) == (status, reason)
    assert (outcome.queued_ms, outcome.total_ms, len(outcome.attempts)) == (400, 2_000, 2)


def test_of_a_call_that_never_began_all_its_time_was_waiting() -> None:
    outcome = read(st="F", reason="deadline", first="0").parsed_outcome()
    assert (outcome.queued_ms, outcome.total_ms) == (2_000, 2_000)


def test_an_outcome_that_a_worker_wrote_is_the_outcome() -> None:
    written = {"call_id": "c1", "kind": "moderation", "status": "done", "result": {"n": 1}, "provider": "openai"}
    outcome = read(st="D", outcome=json.dumps(written)).parsed_outcome()
    assert (outcome.status, outcome.result, outcome.provider) == (Status.DONE, {"n": 1}, "openai")


def test_no_attempts_are_no_rows() -> None:
    assert read_attempts("") == ()
    assert read_attempts('{"provider":"a","what":"cut"}\n') == (Attempt(provider="a", what="cut"),)


@pytest.mark.parametrize("version", [FORMAT_VERSION, FORMAT_VERSION - 1, str(FORMAT_VERSION)])
def test_this_version_and_the_one_before_are_read(version: Any) -> None:
    check_version(version, "It")


@pytest.mark.parametrize("version", [FORMAT_VERSION + 1, FORMAT_VERSION - 2, None, "", "what a user wrote", {}, []])
def test_any_other_version_is_refused_with_what_is_readable(version: Any) -> None:
    with pytest.raises(VersionMismatch) as refused:
        check_version(version, "The record of call c1")
    said = str(refused.value)
    assert said.startswith("The record of call c1 has format ")
    assert f"reads {FORMAT_VERSION - 1} and {FORMAT_VERSION}" in said
    assert "what a user wrote" not in said


def test_a_record_without_a_version_is_refused() -> None:
    with pytest.raises(VersionMismatch):
        Record.read("c1", {name: value for name, value in RAW.items() if name != "v"})


ABOUT: dict[str, Any] = {"call_id": "c1", "kind": "thread_naming", "attempts": [], "queued_ms": 1, "total_ms": 2}


def test_a_kind_with_a_degraded_answer_ends_with_it_marked_as_such() -> None:
    outcome = failed_outcome(request='{"first_message":"How do I set up my tent?"}', reason=Reason.DEADLINE, **ABOUT)
    assert (outcome.status, outcome.degraded, outcome.reason) == (Status.DONE, True, Reason.DEADLINE)


@pytest.mark.parametrize("request_", ["{}", "{not json", '{"text":7,"unheard_of":1}'])
def test_a_call_ends_also_where_its_request_cannot_be_read(request_: str) -> None:
    outcome = failed_outcome(request=request_, reason=Reason.DEADLINE, **ABOUT)
    assert (outcome.status, outcome.reason, outcome.degraded) == (Status.FAILED, Reason.DEADLINE, False)
