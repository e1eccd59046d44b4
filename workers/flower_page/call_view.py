"""What the page is told of one call: where it is, why it waits, what its time went into; pure functions."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from understudy.state.record import STATES
from understudy.waiting import why_it_waits
from understudy.waterfall import bars_of
from understudy.words import words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from understudy.providers import Provider
    from understudy.state.health import Snapshot
    from understudy.state.record import Record


def call(record: Record, snapshot: Snapshot, providers: Sequence[Provider], rank: int | None) -> dict[str, Any]:
    """One call, without its request and its answer; times are Redis milliseconds, those of bars since it was opened.

    Args:
        rank: how many wait before it in its queue; None where it waits in none.
    """
    reason = (record.parsed_outcome().reason or "") if record.has_ended else ""
    return {
        "id": record.id,
        "kind": record.kind,
        "state": STATES[record.state],
        "reason": reason,
        "reason_words": words(reason) if reason else "",
        "provider": record.provider,
        "queue": record.queue,
        "created_ms": record.created,
        "deadline_ms": record.deadline,
        "ended_ms": record.ended or None if record.has_ended else None,
        "cost_microusd": sum(record.charges.values()),
        "waits": list(why_it_waits(record, snapshot, providers, rank)),
        "bars": [asdict(bar) for bar in bars_of(record, snapshot.now)],
    }
