"""The providers' health as all workers share it: breakers, queues, workers, recent durations."""

from __future__ import annotations

import json
import random
import statistics
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from understudy.state.lua import Lua

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from redis.asyncio import Redis

    from understudy.providers import Provider
    from understudy.state.keys import Keys

SUFFIXES = ("", ".batch")
JITTER = 0.2
"""Of a breaker's cooldown, so that not all come back at once."""

CLOSED, OPEN, HALF_OPEN = "closed", "open", "half_open"
RATE_LIMITS = frozenset({"rate_limited", "rate_limited_until"})
"""Rows of the failure table that pause a queue; every other reason of a pause is an operator's own."""


@dataclass(frozen=True)
class Breaker:
    """A provider's circuit breaker; times are Redis milliseconds."""

    state: str = CLOSED
    generation: int = 0
    since: int = 0
    until: int = 0
    floor: int = 0
    """No probe before it: a provider's Retry-After."""
    why: str = ""
    permits_free: int = 0
    opens: int = 0
    hard: int = 0
    quality: int = 0
    probed: int = 0
    probes: int = 0
    ok_at: int = 0
    """When it last answered; 0 where that is not known."""
    durations: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """Of the last 32 answers, by kind, in milliseconds."""

    def typical_ms(self, kind: str) -> int | None:
        """The median duration of recent answers; None without any."""
        return int(statistics.median(self.durations[kind])) if self.durations.get(kind) else None

    def p95_ms(self, kind: str) -> int | None:
        """The 95th percentile of recent answers' durations; None without any."""
        ordered = sorted(self.durations.get(kind, ()))
        return ordered[min(len(ordered) - 1, int(len(ordered) * 0.95))] if ordered else None


@dataclass(frozen=True)
class Queue:
    """One queue: what waits there and who works on it."""

    depth: int = 0
    oldest_ms: int = 0
    concurrency: int = 0
    """The sum of its live workers'; 0 means that nobody consumes it."""
    paused_ms: int = 0
    paused_why: str = ""

    @property
    def paused_by_hand(self) -> bool:
        """Whether an operator paused it, and so may resume it at any moment."""
        return self.paused_ms > 0 and self.paused_why not in RATE_LIMITS


@dataclass(frozen=True)
class Forced:
    """An operator's choice of provider."""

    provider: str
    who: str = ""
    why: str = ""
    left_ms: int = 0


@dataclass(frozen=True)
class Snapshot:
    """All that routing needs to know, read at one moment."""

    now: int = 0
    breakers: Mapping[str, Breaker] = field(default_factory=dict)
    queues: Mapping[str, Queue] = field(default_factory=dict)
    forced: Forced | None = None
    preferred: str | None = None
    preferred_ms: int = 0
    workers: Sequence[Mapping[str, Any]] = ()

    def breaker(self, provider: str) -> Breaker:
        """A provider's breaker; closed where nothing is known."""
        return self.breakers.get(provider, Breaker())

    def queue(self, name: str) -> Queue:
        """A queue; empty and without workers where nothing is known."""
        return self.queues.get(name, Queue())

    def moved(self, to: str, out_of: str | None = None) -> Snapshot:
        """The same after one more call went to a queue, so that those who decide for many see what they did."""
        queues = {**self.queues, to: replace(self.queue(to), depth=self.queue(to).depth + 1)}
        if out_of is not None:
            queues[out_of] = replace(self.queue(out_of), depth=max(0, self.queue(out_of).depth - 1))
        return replace(self, queues=queues)


class Health:
    """Reads and steers the shared health of the configured providers."""

    def __init__(
        self,
        redis: Redis,
        keys: Keys,
        providers: Sequence[Provider],
        shift_ms: Callable[[], int] | None = None,
    ) -> None:
        self.redis = redis
        self.keys = keys
        self.providers = tuple(providers)
        self.lua = Lua(redis, keys, shift_ms)

    async def snapshot(self) -> Snapshot:
        """Read everything in one round trip."""
        named = [{"name": p.name, "model": p.model} for p in self.providers]
        return read_snapshot(json.loads(await self.lua("snapshot", providers=named, suffixes=SUFFIXES)))

    async def probed(self, provider: Provider, *, ok: bool) -> str:
        """Report a probe; returns the breaker's state.

        One that worked moves an open breaker to half-open; one that failed keeps live calls away until the next one.
        """
        (state,) = await self.lua("probed", provider=provider.name, model=provider.model, ok=ok)
        return str(state)

    async def gone(self, provider: Provider, why: str) -> str:
        """Report that nobody can connect to a provider that rests; opens a closed breaker, and returns its state."""
        jitter = random.uniform(1 - JITTER, 1 + JITTER)
        (state,) = await self.lua("gone", provider=provider.name, model=provider.model, why=why, jitter=jitter)
        return str(state)

    async def clear(self, provider: Provider) -> None:
        """Take a provider's health for good again: breaker closed, pauses and preference gone."""
        queues = [provider.name + suffix for suffix in SUFFIXES]
        await self.lua("clear", provider=provider.name, model=provider.model, queues=queues)


def read_snapshot(raw: Mapping[str, Any]) -> Snapshot:
    """A snapshot from the script's JSON, in which empty objects and lists look alike."""
    forced = None
    if "forced" in raw:
        given = json.loads(raw["forced"])
        forced = Forced(given["provider"], given.get("who", ""), given.get("why", ""), int(raw["forced_ms"]))
    preferred, _, _primary = raw.get("preferred", "").partition("|")
    return Snapshot(
        now=int(raw["now"]),
        breakers={name: _breaker(row) for name, row in dict(raw["providers"] or {}).items()},
        queues={name: _queue(row) for name, row in dict(raw["queues"] or {}).items()},
        forced=forced,
        preferred=preferred or None,
        preferred_ms=int(raw.get("preferred_ms", 0)),
        workers=list(raw["workers"] or ()),
    )


def _breaker(row: Mapping[str, Any]) -> Breaker:
    numbers = ("since", "until", "floor", "permits_free", "opens", "hard", "quality", "probed", "probes", "ok_at")
    durations = {
        kind: tuple(int(ms) for ms in text.split(",") if ms) for kind, text in dict(row["durations"] or {}).items()
    }
    return Breaker(
        state=row["breaker"],
        generation=int(row["gen"]),
        why=row["why"],
        durations=durations,
        **{name: int(row[name]) for name in numbers},
    )


def _queue(row: Mapping[str, Any]) -> Queue:
    return Queue(
        depth=int(row["depth"]),
        oldest_ms=int(row["oldest_ms"]),
        concurrency=int(row["concurrency"]),
        paused_ms=int(row["paused_ms"]),
        paused_why=row["paused_why"],
    )
