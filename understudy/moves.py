"""What happens to a call next, after a failure, a denial or a wait: a pure function."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from understudy.contracts.call import Reason, Spend
from understudy.contracts.tools import needs_tools
from understudy.routing import HOPELESS, Choice, Policy, choose, pays_at
from understudy.state.health import OPEN, Snapshot
from understudy.state.record import PARKED, QUEUED, Record

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from understudy.contracts.call import Attempt
    from understudy.providers import Provider

ROUND_MS = 2_000
"""The first pause before all providers are tried again; it doubles."""

LOOK_AGAIN_MS = 2_000

MIN_LEFT_MS = 300
"""With less time than this no further request is begun."""


@dataclass(frozen=True)
class To:
    """The call goes to a provider's queue."""

    provider: str
    why: str


@dataclass(frozen=True)
class Park:
    """The call waits.

    Args:
        for_ms: until somebody may take it.
        anew: a new round begins: providers that were tried and may be asked again, each after so many milliseconds.
    """

    for_ms: int
    anew: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Stay:
    """The call stays where it is queued.

    Args:
        look_ms: it is to be looked at again after this time at the latest.
    """

    look_ms: int | None = None


@dataclass(frozen=True)
class End:
    """The call fails."""

    reason: Reason


Move = To | Park | Stay | End


def policy_of(record: Record, providers: Sequence[Provider]) -> Policy:
    """What a recorded call allows, after what its attempts have shown."""
    return narrowed(
        Policy(
            kind=record.kind,
            spend=record.options.spend_policy,
            local_only=record.options.local_only,
            only=record.options.only,
            batch=record.batch,
            total_ms=record.deadline - record.created,
            needs_tools=needs_tools(record.request),
        ),
        record.attempts,
        providers,
    )


def narrowed(policy: Policy, attempts: Sequence[Attempt], providers: Sequence[Provider]) -> Policy:
    """What is left of a policy after these attempts: a larger window, no quota or budget to pay from, tools."""
    windows = {provider.name: provider.context_window for provider in providers}
    too_small = [windows.get(attempt.provider, 0) for attempt in attempts if attempt.what == "context_too_long"]
    return replace(
        policy,
        larger_than=max(too_small, default=0),
        free_only=any(attempt.what in ("quota", "budget") for attempt in attempts),
        toolless=frozenset(attempt.provider for attempt in attempts if attempt.what == "no_tools"),
    )


def next_move(
    record: Record,
    providers: Sequence[Provider],
    seen: Snapshot,
    *,
    policy: Policy | None = None,
    failed_at: str | None = None,
    max_requests: int = 8,
) -> Move:
    """Decide where a call goes.

    Args:
        record: the call; what `failed_at` names counts as tried although the record does not say so yet.
        policy: where it is not just what the record says.
        max_requests: to providers, for one model turn of a call.
    """
    policy = policy or policy_of(record, providers)
    tried = record.tried | ({failed_at} if failed_at else set())
    left_ms = record.deadline - seen.now
    if left_ms <= 0:
        return End(_late_reason(record, providers, seen, policy))
    if record.requests - record.turn_base >= max_requests:
        return _nobody(record)
    queued = record.state == QUEUED
    choice = choose(
        providers,
        seen,
        policy,
        deadline_ms=record.deadline,
        tried=tried,
        not_before=record.not_before,
        queued_at=record.provider if queued else None,
    )
    if choice.provider and _goes(record, choice, queued=queued):
        if left_ms < MIN_LEFT_MS and not queued:
            return End(Reason.DEADLINE)
        why = choice.passed_over.get(record.provider, "waited") if queued else choice.why
        return To(choice.provider, why)
    if queued:
        return _stay(record, providers, seen, policy)
    return _wait(record, [p for p in providers if policy.allows(p)], tried, seen, policy, choice)


def _goes(record: Record, choice: Choice, *, queued: bool) -> bool:
    """For waiting, each provider is left once at most; a queue that nobody works on is left each time."""
    if not queued:
        return True
    if choice.provider == record.provider:
        return False
    return record.provider not in record.left or choice.passed_over.get(record.provider) == "no_workers"


def _stay(record: Record, providers: Sequence[Provider], seen: Snapshot, policy: Policy) -> Stay:
    """A call that defers is looked at when it may pay, for that is the last chance to move it."""
    if policy.spend is not Spend.DEFER:
        return Stay()
    when = pays_at(providers, seen, policy, deadline_ms=record.deadline)
    return Stay(when - seen.now if when is not None and when > seen.now else None)


def _wait(
    record: Record, allowed: Sequence[Provider], tried: Collection[str], seen: Snapshot, policy: Policy, choice: Choice
) -> Move:
    """Until one that was not tried may be asked, or those that were may be asked anew, after a pause that doubles."""
    left_ms = record.deadline - seen.now
    times = [] if choice.earliest_ms is None else [choice.earliest_ms - seen.now]
    resumable = any(p.name in choice.passed_over and seen.queue(policy.queue(p)).paused_by_hand for p in allowed)
    if resumable or "no_workers" in choice.passed_over.values():
        times.append(LOOK_AGAIN_MS)  # this may end any moment, long before a call that defers would pay
    pause = ROUND_MS * 2**record.rounds
    hopeful = [p for p in allowed if p.name in tried and not _hopeless(p, record, seen)]
    anew = {p.name: pause for p in hopeful if seen.queue(policy.queue(p)).concurrency}
    if anew:
        times.append(pause)
    elif hopeful:
        times.append(LOOK_AGAIN_MS)  # after an outage of Redis, workers are known again with their next beat
    # never beyond the deadline: a call whose only provider is out for longer fails now, and says so
    times = [ms for ms in times if ms + MIN_LEFT_MS < left_ms]
    if times:
        return Park(max(min(times), MIN_LEFT_MS), anew if pause + MIN_LEFT_MS < left_ms else {})
    if choice.earliest_ms is None and choice.why == "no_workers":
        return Park(min(LOOK_AGAIN_MS, left_ms))
    return _nobody(record)


def _nobody(record: Record) -> End:
    """No provider is left that may answer, perhaps for want of money."""
    return End(Reason.BUDGET if record.short else Reason.NO_PROVIDER)


def _hopeless(provider: Provider, record: Record, seen: Snapshot) -> bool:
    """Out beyond the deadline, and nothing ends it earlier."""
    breaker = seen.breaker(provider.name)
    lasting = provider.paid or breaker.why in HOPELESS
    return breaker.state == OPEN and lasting and breaker.until >= record.deadline


def _late_reason(record: Record, providers: Sequence[Provider], seen: Snapshot, policy: Policy) -> Reason:
    """Nobody consumed any queue it could run on, only money could have helped, or its time simply ran out."""
    if record.short and record.state == PARKED:
        return Reason.BUDGET
    if record.first or record.attempts:
        return Reason.DEADLINE
    live = any(seen.queue(policy.queue(p)).concurrency for p in providers if policy.allows(p))
    return Reason.DEADLINE if live else Reason.NO_WORKERS
