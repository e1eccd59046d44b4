"""Why a call is where it is, in one or two sentences: a pure function."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bot_client.cli.words import count, span, standing, words
from understudy.contracts.call import Status
from understudy.state.health import HALF_OPEN, OPEN, Snapshot
from understudy.state.record import PARKED, QUEUED, Record

if TYPE_CHECKING:
    from collections.abc import Mapping


def reason_of(record: Record, seen: Snapshot, rank: int | None, standings: Mapping[str, str]) -> str:
    """Why the call waits, runs or has ended.

    Args:
        record: the call.
        seen: health, read at the same moment.
        rank: how many wait before it in its queue.
        standings: what routing says of each provider for this call.
    """
    if record.has_ended:
        return _ended(record)
    if record.deadline <= seen.now:
        return "Its deadline has passed; the next look of a worker ends it."
    if record.state == QUEUED:
        return _queued(record, seen, rank or 0)
    if record.state == PARKED:
        return _parked(standings)
    if record.lease <= seen.now:
        return f"Its worker has not been heard of for too long ({record.provider}); the next look moves it on."
    return f"A worker has been asking {record.provider} for {span(seen.now - record.begun)}."


def _queued(record: Record, seen: Snapshot, ahead: int) -> str:
    queue, breaker = seen.queue(record.queue), seen.breaker(record.provider)
    if not queue.concurrency:
        return (
            f"No worker consumes the queue {record.queue}. The call waits for one to start, or moves to another"
            " provider at the next look."
        )
    if queue.paused_ms:
        return f"The queue {record.queue} is paused for {span(queue.paused_ms)}: {words(queue.paused_why)}."
    if breaker.state == OPEN:
        return f"The breaker of {record.provider} is open ({words(breaker.why)}); the next look may move the call."
    if breaker.state == HALF_OPEN:
        return f"{record.provider} is being tried with few calls at a time, after: {words(breaker.why)}."
    if ahead:
        return (
            f"It waits behind {count(ahead, 'call')}; the workers of {record.queue} run {queue.concurrency:,} at once."
        )
    return f"It is the next in the queue {record.queue}: a worker should take it at once."


def _parked(standings: Mapping[str, str]) -> str:
    free = [name for name, word in standings.items() if word == "free"]
    if free:
        return f"It was parked; {free[0]} can take it at the next look."
    each = "; ".join(f"{name}: {standing(word)}" for name, word in standings.items())
    return f"No provider can take it now ({each}). It is tried again at the next look."


def _ended(record: Record) -> str:
    outcome = record.parsed_outcome()
    if outcome.status is Status.DONE:
        if outcome.degraded:
            return "No provider answered in time; it got the answer that needs none."
        return f"It was answered by {outcome.provider}." if outcome.provider else "It was answered."
    if outcome.status is Status.CANCELLED:
        return "It was given up before an answer came."
    return f"It failed: {words(outcome.reason or '')}."
