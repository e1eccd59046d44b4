"""A call that ended without an answer, as the error its caller sees."""

from __future__ import annotations

from typing import Any

from understudy.contracts.call import Attempt, Outcome, Reason, Status
from understudy.errors import (
    AllProvidersFailed,
    BudgetExceeded,
    CallCancelled,
    CallError,
    DeadlineExceeded,
    KeyConflict,
    NoWorkers,
    Quarantined,
)

_BY_REASON: dict[str, tuple[type[CallError], str, str]] = {
    Reason.DEADLINE: (
        DeadlineExceeded,
        "ran out of time",
        "give it a longer deadline_s, or see with `understudy status` what is slow",
    ),
    Reason.NO_PROVIDER: (
        AllProvidersFailed,
        "was answered by no provider that may answer it",
        "see with `understudy status` which are open, and whether its spend policy shuts out the rest",
    ),
    Reason.NO_WORKERS: (
        NoWorkers,
        "found no worker on any queue it could run on",
        "start one with `celery -A workers worker -Q <provider>`",
    ),
    Reason.REJECTED: (
        AllProvidersFailed,
        "was rejected by its provider, and no other would take it",
        "change the request: sent again as it is, it fails again",
    ),
    Reason.INVALID: (
        CallError,
        "broke its contract and was not run",
        "correct the request",
    ),
    Reason.QUARANTINED: (
        Quarantined,
        "was given up because its worker died three times",
        "look at the workers' logs for what kills them before sending it again",
    ),
    Reason.CANCELLED: (
        CallCancelled,
        "was cancelled",
        "send it again if it is still wanted",
    ),
    Reason.BUG: (
        CallError,
        "met a bug in a worker",
        "report it with what the worker logged under this id",
    ),
    Reason.BUDGET: (
        BudgetExceeded,
        "was denied its paid provider, and no free one answered it",
        "raise the budget, or see with `understudy status` what is wrong with the free ones",
    ),
}
"""Of each reason: the error, what happened, what to do."""


def call_error(outcome: Outcome[Any]) -> CallError:
    """The error for an outcome without an answer.

    Its message is one sentence: what happened, where the time went, what to do. A reason that this version does not
    know gives a plain `CallError`.
    """
    reason = Reason.CANCELLED if outcome.status is Status.CANCELLED else outcome.reason or ""
    error, happened, advice = _BY_REASON.get(
        reason, (CallError, "ended without an answer", "look at it with `understudy why`")
    )
    because = f" ({outcome.detail.rstrip('.')})" if outcome.detail else ""
    message = f"{outcome.kind} {outcome.call_id} {happened}{because}: {_time(outcome)}; {advice}."
    return error(message, outcome.call_id, outcome.model_dump(mode="json"))


def key_conflict(kind: str) -> KeyConflict:
    """The error for a key that belongs to another request."""
    return KeyConflict(f"call: key already belongs to another {kind} request; use one key for one request.")


def _time(outcome: Outcome[Any]) -> str:
    spent = f"{outcome.total_ms:,} ms in all, {outcome.queued_ms:,} ms of them queued"
    if not outcome.attempts:
        return f"{spent}, no attempt"
    return f"{spent}, then {', '.join(map(_attempt, outcome.attempts))}"


def _attempt(attempt: Attempt) -> str:
    return f"{attempt.provider} {attempt.what} after {attempt.ms:,} ms"
