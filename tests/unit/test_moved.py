"""Why a call left its provider, in words."""

from __future__ import annotations

import pytest

from understudy.contracts.call import Attempt, CallOptions
from understudy.moves import Park, To
from understudy.state.record import PARKED, QUEUED, Record
from workers.moved import is_fallback, reason_left, why_left


def record(*attempts: Attempt, denied: str = "", state: str = PARKED) -> Record:
    return Record(
        "c", state, "moderation", "{}", CallOptions(), 0, 0, "ollama", "ollama", attempts=attempts, denied_why=denied
    )


def attempt(what: str, detail: str = "", provider: str = "ollama") -> Attempt:
    return Attempt(provider=provider, what=what, detail=detail)


@pytest.mark.parametrize(
    ("seen", "latest", "reason", "words"),
    [
        (record(), attempt("refused"), "refused", "connection refused"),
        (record(), attempt("server_error", "HTTP 503"), "server_error", "server error (HTTP 503)"),
        (record(), attempt("worker_lost"), "worker_lost", "the worker died or stalled"),
        (record(state=QUEUED), attempt("waited", "no_workers"), "no_workers", "no worker consumes its queue"),
        (record(state=QUEUED), attempt("waited", "breaker_open"), "breaker_open", "its breaker is open"),
        (record(state=QUEUED), attempt("waited", "waited"), "waited", "waited too long"),
        (record(denied="refused"), None, "refused", "its breaker is open: connection refused"),
        (record(denied="paused"), None, "paused", "its queue is paused"),
        (record(denied="budget"), None, "budget", "its budget is used up"),
        (record(attempt("stalled"), denied="paused"), None, "stalled", "stalled in the middle"),
        (record(attempt("stalled", provider="openai"), denied="paused"), None, "paused", "its queue is paused"),
        (record(), None, "waited", "waited too long"),
        (record(), attempt("unheard_of", "with \x1b[31m colour"), "unheard_of", "unheard_of (with �[31m colour)"),
    ],
)
def test_the_reason_is_the_ledgers_and_its_words_are_an_operators(
    seen: Record, latest: Attempt | None, reason: str, words: str
) -> None:
    assert reason_left(seen, latest) == reason
    assert why_left(seen, latest) == words


def test_only_a_move_to_another_provider_is_a_fallback() -> None:
    assert is_fallback(record(), To("openai", "free"))
    assert not is_fallback(record(), To("ollama", "resend"))
    assert not is_fallback(record(), Park(1000))
