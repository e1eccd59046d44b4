"""Providers and their health as plain data, for the tables of decisions."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from understudy.providers import Provider
from understudy.state.health import Breaker, Forced, Queue, Snapshot

NOW = 1_700_000_000_000
OLLAMA = Provider("ollama", "http://ollama/v1", "m", None, False, True, 8_192, 15, 3, 15, 10)
OPENAI = Provider("openai", "http://openai/v1", "m", None, True, False, 128_000, 30, 3, 30, 20)
VLLM = replace(OLLAMA, name="vllm", base_url="http://vllm/v1", local=False, context_window=32_768)
TWO = (OLLAMA, OPENAI)
THREE = (OLLAMA, VLLM, OPENAI)

IDLE = Queue(concurrency=4)
DEAD = Queue(concurrency=0)
CLOSED = Breaker()


def deep(depth: int, concurrency: int = 4) -> Queue:
    """A queue with a backlog."""
    return Queue(depth=depth, concurrency=concurrency)


def paused(ms: int, why: str = "rate_limited_until") -> Queue:
    """A queue that rests, as after a rate limit."""
    return Queue(concurrency=4, paused_ms=ms, paused_why=why)


def out(ms: int, why: str = "refused", floor_ms: int = 0) -> Breaker:
    """An open breaker whose cooldown ends in `ms`."""
    return Breaker("open", until=NOW + ms, why=why, floor=NOW + floor_ms if floor_ms else 0)


def half_open(permits_free: int) -> Breaker:
    """A half-open breaker."""
    return Breaker("half_open", permits_free=permits_free)


def takes(*durations_ms: int, state: Breaker = CLOSED) -> Breaker:
    """A breaker that knows how long moderations took."""
    return replace(state, durations={"moderation": durations_ms})


def seen(forced: str | None = None, preferred: str | None = None, **health: Queue | Breaker) -> Snapshot:
    """What routing sees; every provider is well unless `name=` says otherwise, `name_batch=` its batch queue.

    A `Queue` or a `Breaker` stands for either; for both, `name=` and `name_breaker=`.
    """
    queues: dict[str, Queue] = {p.name + end: IDLE for p in THREE for end in ("", ".batch")}
    breakers: dict[str, Breaker] = {}
    for name, value in health.items():
        if isinstance(value, Breaker):
            breakers[name.removesuffix("_breaker")] = value
        else:
            queues[name.replace("_batch", ".batch")] = value
    return Snapshot(
        now=NOW,
        breakers=breakers,
        queues=queues,
        forced=Forced(forced) if forced else None,
        preferred=preferred,
    )


def in_ms(ms: int) -> int:
    """A Redis time."""
    return NOW + ms


def arguments(**given: Any) -> dict[str, Any]:
    """Arguments of `choose` for a call with 30 s left."""
    return {"deadline_ms": NOW + 30_000} | given
