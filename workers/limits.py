"""How long a provider may take for one request: pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from understudy.providers import Provider
    from understudy.state.health import Breaker, Snapshot

KEEP_ALIVE_MS = 5 * 60_000
"""How long Ollama keeps a model in memory after its last answer, unless it is told otherwise."""


@dataclass(frozen=True)
class Limits:
    """The limits of one request, in seconds.

    Args:
        total_s: for all of it.
        first_s: until the first chunk.
        gap_s: between two chunks.
        by_deadline: `total_s` is what is left of the caller's time, so that it says nothing about the provider.
        flows: so it is as long as chunks come; a provider that sends none is judged all the same.
        cold: the model may have to be loaded first.
    """

    total_s: float
    first_s: float
    gap_s: float
    by_deadline: bool = False
    flows: bool = False
    cold: bool = False


def is_cold(provider: Provider, breaker: Breaker, now_ms: int) -> bool:
    """Whether the model of a provider may not be in memory: only local ones that are free unload theirs."""
    return provider.local and not provider.paid and breaker.ok_at + KEEP_ALIVE_MS < now_ms


def limits_of(
    provider: Provider, seen: Snapshot, *, left_s: float, kept_s: float, flows: bool, cold_start_s: float
) -> Limits:
    """The limits of the next request.

    An answer that a user reads as it comes may take all the time that the call has, as long as it flows: only its first
    chunk and the gaps are held against the provider's limits. Any other is to be whole within them.

    Args:
        seen: the providers' health.
        left_s: of the call's time.
        kept_s: of that, what is kept back for the next provider.
        flows: whether the answer is read as it comes.
        cold_start_s: what loading a model may take.
    """
    room_s = left_s - kept_s
    cold = is_cold(provider, seen.breaker(provider.name), seen.now)
    loading_s = max(0.0, cold_start_s - provider.first_byte_s) if cold else 0.0
    total_s = room_s if flows else min(provider.timeout_s + loading_s, room_s)
    return Limits(
        total_s=total_s,
        first_s=min(provider.first_byte_s + loading_s, total_s),
        gap_s=min(provider.first_byte_s, total_s),
        # with less than what counts as slow, a time-out says nothing about the provider
        by_deadline=total_s < provider.slow_s,
        flows=flows,
        cold=loading_s > 0,
    )
