"""What a call's time went into, bar by bar: a pure function over its record."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from understudy.state.record import DONE, PARKED, RUNNING, STATES, Record
from understudy.words import printable, words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from understudy.contracts.call import Attempt

QUEUED_BAR, PARKED_BAR, RUNNING_BAR, WAITED = "queued", "parked", "running", "waited"
WAITS = frozenset({QUEUED_BAR, PARKED_BAR, WAITED})
"""What a bar in which nobody was asked is called."""

ENDING_MS = 50
"""To write an end down takes a moment, which is no wait."""


@dataclass(frozen=True)
class Bar:
    """One span of a call's time.

    Args:
        label: what it is, in words.
        what: `queued`, `parked`, `running`, an attempt's `what`, or how the call ended, where the bar has no length.
        provider: whose; empty where it is nobody's.
        start_ms, end_ms: since the call was opened.
        detail: what is known beside it, in words.
    """

    label: str
    what: str
    provider: str
    start_ms: int
    end_ms: int
    detail: str = ""

    @property
    def ms(self) -> int:
        """How long it lasted."""
        return self.end_ms - self.start_ms


def attempts_of(record: Record) -> Sequence[Attempt]:
    """The attempts of a call: those of the outcome, where a worker wrote one, for it lists the last attempt too."""
    return record.parsed_outcome().attempts or record.attempts if record.has_ended else record.attempts


def bars_of(record: Record, now: int) -> tuple[Bar, ...]:
    """The bars of a call in the order of time, without gaps: waits, attempts, and its end or what it does now.

    Only before its end there may be a moment that no bar has: the end was written down then.

    Args:
        record: the call.
        now: Redis milliseconds.
    """
    bars: list[Bar] = []
    at = 0

    def wait(until: int, provider: str, what: str = QUEUED_BAR) -> None:
        nonlocal at
        if until > at:
            label = f"waits for {printable(provider)}" if what == QUEUED_BAR and provider else "waits"
            bars.append(Bar(label, what, provider, at, until))
            at = until

    for attempt in attempts_of(record):
        # A record of an earlier version does not say when: then one began where the one before it ended.
        begun = attempt.at_ms - record.created if attempt.at_ms else max(at, record.first - record.created)
        wait(begun, attempt.provider)
        end = max(at, begun + attempt.ms)
        bars.append(_attempted(attempt, at, end))
        at = end
    if record.has_ended:
        ended = record.ended - record.created
        if ended - at > ENDING_MS:
            wait(ended, "", PARKED_BAR)
        bars.append(_end(record, max(at, ended)))
    elif record.state == RUNNING:
        wait(record.begun - record.created, record.provider)
        label = f"asks {printable(record.provider)}"
        bars.append(Bar(label, RUNNING_BAR, record.provider, at, max(at, now - record.created)))
    else:
        parked = record.state == PARKED
        wait(now - record.created, "" if parked else record.provider, PARKED_BAR if parked else QUEUED_BAR)
    return tuple(bars)


def _attempted(attempt: Attempt, start: int, end: int) -> Bar:
    provider = printable(attempt.provider)
    label = f"waits for {provider}" if attempt.what == WAITED else f"asks {provider}"
    detail = words(attempt.what) + (f" ({printable(attempt.detail)})" if attempt.detail else "")
    return Bar(label, attempt.what, attempt.provider, start, end, detail)


def _end(record: Record, at: int) -> Bar:
    state = STATES[record.state]
    outcome = record.parsed_outcome()
    if record.state == DONE:
        detail = "the answer that needs no provider" if outcome.degraded else ""
        return Bar(state, state, outcome.provider or "", at, at, detail)
    return Bar(state, state, "", at, at, words(outcome.reason or "") if state == "failed" else "")
