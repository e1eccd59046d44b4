"""Why a call is where it is, in sentences: pure functions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from understudy.contracts.call import Status
from understudy.moves import policy_of
from understudy.routing import choose
from understudy.state.health import HALF_OPEN, OPEN, Snapshot
from understudy.state.record import PARKED, QUEUED, RUNNING, Record
from understudy.words import count, span, standing, words

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from understudy.providers import Provider

FREE = "free"
"""The word for a provider that can take the call now; the others are those of `routing.choose`."""


@dataclass(frozen=True)
class Standing:
    """How one provider stands to a call.

    Args:
        name: of the provider.
        here: whether the call waits or runs there.
        word: `free`, or the routing's own word of why it was passed over.
        again_ms: for how long it is not asked again; None where it may be asked now or never.
    """

    name: str
    here: bool
    word: str
    again_ms: int | None = None


def standings_of(record: Record, providers: Sequence[Provider], seen: Snapshot) -> tuple[Standing, ...]:
    """How each provider stands to the call: the routing's word, asked for it alone; none for a call that has ended."""
    if record.has_ended:
        return ()
    policy, found = policy_of(record, providers), []
    for provider in providers:
        choice = choose(
            [provider],
            seen,
            policy,
            deadline_ms=record.deadline,
            tried=record.tried,
            not_before=record.not_before,
            queued_at=record.provider if record.state == QUEUED else None,
        )
        here = provider.name == record.provider and record.state in (QUEUED, RUNNING)
        again = max(choice.earliest_ms or 0, record.not_before.get(provider.name, 0)) - seen.now
        word = choice.passed_over.get(provider.name, FREE)
        found.append(Standing(provider.name, here, word, again if again > 0 else None))
    return tuple(found)


def why_it_waits(
    record: Record, seen: Snapshot, providers: Sequence[Provider], rank: int | None = None
) -> tuple[str, ...]:
    """Why the call waits, runs or has ended, and of one that waits a sentence about each provider.

    Args:
        record: the call.
        seen: health, read at the same moment.
        providers: those of the settings, in their order.
        rank: how many wait before it in its queue; None where that was not read.
    """
    standings = standings_of(record, providers, seen)
    free = {each.name: each.word for each in standings if each.word == FREE}  # the others have their own sentences
    why = reason_of(record, seen, rank, free)
    if record.state not in (QUEUED, PARKED) or record.deadline <= seen.now:
        return (why,)
    return (why, *(_about(each) for each in standings))


def _about(each: Standing) -> str:
    word = "the call is here" if each.here else ""
    if each.word != FREE or not each.here:
        word += ("; " if word else "") + standing(each.word)
    again = f"; it is asked again in {span(each.again_ms)} at the earliest" if each.again_ms else ""
    return f"{each.name}: {word}{again}."


def reason_of(record: Record, seen: Snapshot, rank: int | None, standings: Mapping[str, str]) -> str:
    """Why the call waits, runs or has ended, in one or two sentences.

    Args:
        record: the call.
        seen: health, read at the same moment.
        rank: how many wait before it in its queue; None where that was not read.
        standings: what routing says of each provider for this call.
    """
    if record.has_ended:
        return _ended(record)
    if record.deadline <= seen.now:
        return "Its deadline has passed; the next look of a worker ends it."
    if record.state == QUEUED:
        return _queued(record, seen, rank)
    if record.state == PARKED:
        return _parked(standings)
    if record.lease <= seen.now:
        return f"Its worker has not been heard of for too long ({record.provider}); the next look moves it on."
    return f"A worker has been asking {record.provider} for {span(seen.now - record.begun)}."


def _queued(record: Record, seen: Snapshot, ahead: int | None) -> str:
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
    if ahead is None:
        return f"It is in the queue {record.queue}, whose workers run {queue.concurrency:,} at once."
    return f"It is the next in the queue {record.queue}: a worker should take it at once."


def _parked(standings: Mapping[str, str]) -> str:
    free = [name for name, word in standings.items() if word == FREE]
    if free:
        return f"It was parked; {free[0]} can take it at the next look."
    each = "; ".join(f"{name}: {standing(word)}" for name, word in standings.items())
    return f"No provider can take it now{f' ({each})' if each else ''}. It is tried again at the next look."


def _ended(record: Record) -> str:
    outcome = record.parsed_outcome()
    if outcome.status is Status.DONE:
        if outcome.degraded:
            return "No provider answered in time; it got the answer that needs none."
        return f"It was answered by {outcome.provider}." if outcome.provider else "It was answered."
    if outcome.status is Status.CANCELLED:
        return "It was given up before an answer came."
    return f"It failed: {words(outcome.reason or '')}."
