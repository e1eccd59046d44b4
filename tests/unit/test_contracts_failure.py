"""A call without an answer becomes an error that says what happened, where the time went, and what to do."""

from __future__ import annotations

import json

import pytest

from understudy.contracts.call import AnyOutcome, Attempt, Reason, Status
from understudy.contracts.failure import call_error
from understudy.errors import (
    AllProvidersFailed,
    CallCancelled,
    CallError,
    DeadlineExceeded,
    NoWorkers,
    Quarantined,
)

ATTEMPTS = [
    Attempt(provider="ollama", what="no_first_byte", ms=15_000),
    Attempt(provider="openai", what="server_error", ms=1_200),
]


def _outcome(reason: str | None, status: Status = Status.FAILED, detail: str = "") -> AnyOutcome:
    return AnyOutcome(
        call_id="c-1",
        kind="moderation",
        status=status,
        reason=reason,
        detail=detail,
        attempts=ATTEMPTS,
        queued_ms=120,
        total_ms=30_012,
    )


@pytest.mark.parametrize(
    ("reason", "error"),
    [
        (Reason.DEADLINE, DeadlineExceeded),
        (Reason.NO_PROVIDER, AllProvidersFailed),
        (Reason.REJECTED, AllProvidersFailed),
        (Reason.NO_WORKERS, NoWorkers),
        (Reason.QUARANTINED, Quarantined),
        (Reason.CANCELLED, CallCancelled),
        (Reason.INVALID, CallError),
        (Reason.BUG, CallError),
        ("of_a_later_version", CallError),
        (None, CallError),
    ],
)
def test_each_reason_has_its_error(reason: str | None, error: type[CallError]) -> None:
    raised = call_error(_outcome(reason))
    assert type(raised) is error
    assert raised.call_id == "c-1"
    assert [attempt["provider"] for attempt in raised.attempts] == ["ollama", "openai"]
    assert json.loads(json.dumps(raised.args)) == list(raised.args), "it must survive the result backend"


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_is_known(reason: Reason) -> None:
    assert "ended without an answer" not in str(call_error(_outcome(reason)))


def test_the_message_is_one_sentence_with_the_time_and_the_advice() -> None:
    assert str(call_error(_outcome(Reason.DEADLINE))) == (
        "moderation c-1 ran out of time: 30,012 ms in all, 120 ms of them queued, "
        "then ollama no_first_byte after 15,000 ms, openai server_error after 1,200 ms; "
        "give it a longer deadline_s, or see with `understudy status` what is slow."
    )


def test_a_detail_stands_with_what_happened() -> None:
    assert "rejected by its provider, and no other would take it (400 bad request): " in str(
        call_error(_outcome(Reason.REJECTED, detail="400 bad request."))
    )


def test_a_cancelled_call_is_cancelled_whatever_its_reason() -> None:
    assert type(call_error(_outcome(None, Status.CANCELLED))) is CallCancelled
