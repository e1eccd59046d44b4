"""What a bot is shown of calls and providers, as plain typed data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from understudy.state.health import CLOSED, Forced, Snapshot
from understudy.state.record import STATES, Record

if TYPE_CHECKING:
    from collections.abc import Sequence

    from understudy.contracts.call import Attempt
    from understudy.providers import Provider

__all__ = ["CallStatus", "Forced", "ProviderStatus", "call_status", "provider_statuses"]


@dataclass(frozen=True)
class CallStatus:
    """Where a call is.

    Args:
        state: `queued`, `parked`, `running`, `done`, `failed` or `cancelled`.
        provider: at which it is, or which it was at last.
        reason: of a call that failed, one of `understudy.contracts.call.Reason`.
        deadline_ms: when its time is up, in Unix milliseconds of the server's clock.
    """

    id: str
    kind: str
    state: str
    provider: str
    attempts: tuple[Attempt, ...] = ()
    reason: str = ""
    deadline_ms: int = 0

    @property
    def has_ended(self) -> bool:
        """Whether nothing about it changes any more."""
        return self.state in ("done", "failed", "cancelled")


@dataclass(frozen=True)
class ProviderStatus:
    """A provider's health, as every worker and client sees it.

    Args:
        breaker: `closed`, `half_open` or `open`.
        why: the breaker is not closed; empty where it is.
        retry_in_s: until an open breaker lets a call through again; None where it is not open.
        queue_depth: calls that wait for it.
        oldest_s: how long the first of them has waited.
        concurrency: calls that its workers run at once; 0 means that it has no workers.
        paused_s: for how long nothing begins on its queue; 0 where it is not paused.
        preferred: it is the fallback that worked while the primary is out.
        forced: an operator's choice of this provider.
    """

    name: str
    model: str
    paid: bool
    local: bool
    breaker: str = CLOSED
    why: str = ""
    retry_in_s: float | None = None
    queue_depth: int = 0
    oldest_s: float = 0.0
    concurrency: int = 0
    paused_s: float = 0.0
    paused_why: str = ""
    preferred: bool = False
    forced: Forced | None = None


def call_status(record: Record) -> CallStatus:
    """A call's status from its record."""
    return CallStatus(
        id=record.id,
        kind=record.kind,
        state=STATES[record.state],
        provider=record.provider,
        attempts=record.attempts,
        reason=record.reason,
        deadline_ms=record.deadline,
    )


def provider_statuses(providers: Sequence[Provider], seen: Snapshot) -> list[ProviderStatus]:
    """The status of each provider, in the order of preference."""
    return [_status(provider, seen) for provider in providers]


def _status(provider: Provider, seen: Snapshot) -> ProviderStatus:
    breaker, queue = seen.breaker(provider.name), seen.queue(provider.queue)
    return ProviderStatus(
        name=provider.name,
        model=provider.model,
        paid=provider.paid,
        local=provider.local,
        breaker=breaker.state,
        why="" if breaker.state == CLOSED else breaker.why,
        retry_in_s=max(0, breaker.until - seen.now) / 1000 if breaker.state == "open" else None,
        queue_depth=queue.depth,
        oldest_s=queue.oldest_ms / 1000,
        concurrency=queue.concurrency,
        paused_s=queue.paused_ms / 1000,
        paused_why=queue.paused_why,
        preferred=seen.preferred == provider.name,
        forced=seen.forced if seen.forced and seen.forced.provider == provider.name else None,
    )
