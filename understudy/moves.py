"""What happens to a call next, after a failure, a denial or a wait: a pure function."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from understudy.contracts.call import Reason
from understudy.routing import HOPELESS, Choice, Policy, choose
from understudy.state.health import OPEN, Snapshot
from understudy.state.record import QUEUED, Record

if TYPE_CHECKING:
    from collections.abc import Sequence

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
    """The call waits; a new round asks all providers anew."""

    for_ms: int
    new_round: bool = False


@dataclass(frozen=True)
class Stay:
    """The call stays where it is queued."""


@dataclass(frozen=True)
class End:
    """The call fails."""

    reason: Reason


Move = To | Park | Stay | End


def policy_of(record: Record, **more: int | bool) -> Policy:
    """What a recorded call allows."""
    return Policy(
        kind=record.kind,
        spend=record.options.spend or Policy.spend,
        local_only=record.options.local_only,
        batch=record.batch,
        total_ms=record.deadline - record.created,
        **more,  # type: ignore[arg-type]
    )


def next_move(
    record: Record,
    providers: Sequence[Provider],
    seen: Snapshot,
    *,
    policy: Policy | None = None,
    failed_at: str | None = None,
    may_retry: bool = True,
    max_requests: int = 8,
) -> Move:
    """Decide where a call goes.

    Args:
        record: the call; what `failed_at` names counts as tried although the record does not say so yet.
        policy: where a failure narrowed it; else the record's own.
        may_retry: false where the failure says that no other round can help.
        max_requests: to providers, for one call.
    """
    policy = policy or policy_of(record)
    tried = record.tried | ({failed_at} if failed_at else set())
    left_ms = record.deadline - seen.now
    if left_ms <= 0:
        return End(_late_reason(record, providers, seen, policy))
    if record.requests >= max_requests:
        return End(Reason.NO_PROVIDER)
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
    if choice.provider:
        if left_ms < MIN_LEFT_MS and not queued:
            return End(Reason.DEADLINE)
        return _to(record, choice.provider, choice, queued=queued)
    if queued:
        return Stay()
    if choice.earliest_ms is not None:
        # never beyond the deadline: a call whose only provider is out for longer fails now, and says so
        if choice.earliest_ms + MIN_LEFT_MS < record.deadline:
            return Park(max(choice.earliest_ms - seen.now, MIN_LEFT_MS))
        return End(Reason.NO_PROVIDER)
    if choice.why == "no_workers":
        return Park(min(LOOK_AGAIN_MS, left_ms))
    return _another_round(record, providers, seen, policy, left_ms, may_retry=may_retry)


def _to(record: Record, chosen: str, choice: Choice, *, queued: bool) -> Move:
    if not queued:
        return To(chosen, choice.why)
    if chosen == record.provider or chosen in record.left:
        return Stay()  # for waiting, each provider is left once at most
    return To(chosen, choice.passed_over.get(record.provider, "waited"))


def _another_round(
    record: Record,
    providers: Sequence[Provider],
    seen: Snapshot,
    policy: Policy,
    left_ms: int,
    *,
    may_retry: bool,
) -> Move:
    """Every allowed provider was tried: all of them once more, after a pause that doubles."""
    again = [p for p in providers if policy.allows(p) and not _hopeless(p, record, seen)]
    pause = ROUND_MS * 2**record.rounds
    if may_retry and again and pause + MIN_LEFT_MS < left_ms:
        return Park(pause, new_round=True)
    return End(Reason.NO_PROVIDER)


def _hopeless(provider: Provider, record: Record, seen: Snapshot) -> bool:
    """Out beyond the deadline, and nothing ends it earlier."""
    breaker = seen.breaker(provider.name)
    lasting = provider.paid or breaker.why in HOPELESS
    return breaker.state == OPEN and lasting and breaker.until >= record.deadline


def _late_reason(record: Record, providers: Sequence[Provider], seen: Snapshot, policy: Policy) -> Reason:
    """Nobody consumed any queue it could run on, or its time simply ran out."""
    if record.first or record.attempts:
        return Reason.DEADLINE
    live = any(seen.queue(policy.queue(p)).concurrency for p in providers if policy.allows(p))
    return Reason.DEADLINE if live else Reason.NO_WORKERS
