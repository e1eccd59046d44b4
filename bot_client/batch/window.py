"""How many rows a job may have with a provider at once: pure functions over what one look at the shared health shows.

The window grows while live calls fare as before and is halved when they wait or slow down. It never passes a share of
what the workers of the provider in use can run, and is 0 where no provider may be asked now. Where it is as large as
all the batch workers, some more rows wait in the queue, so that a worker that is free finds one.
"""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from understudy.routing import ordered
from understudy.state.health import HALF_OPEN, OPEN

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from understudy.providers import Provider
    from understudy.routing import Policy
    from understudy.state.health import Snapshot

FIRST = 16
"""Where a window begins, and begins again after a pause; it doubles from there until live calls mind."""

SHARE = 0.5
"""Of all that a provider's workers can run at once, live and batch: what batch rows may take at most."""

LEAD = 0.5
"""Of a window that is as large as all the batch workers: so many more rows wait in the queue."""

LIVE_WAIT_MS = 100
"""A live call that waits for so long for a worker waits because of the load; 10 ms are usual."""

SLOWER = 1.25
"""Live answers that take so many times what they took in calm are slowed down."""

FORGET = 1.001
"""By so much the calm duration rises with each look, so that a provider that became slower for good is no reason."""

USED_UP = "the budget is used up"

REST = 4
"""Looks before it is halved again: what halving does is seen only after some answers."""


@dataclass(frozen=True)
class Sight:
    """What one look showed.

    Args:
        room: rows that may be with the provider to which they go; 0 where none is usable.
        slots: rows that its batch workers can run at once.
        why: there is no room, or there are live calls that are hurt; one clause.
        hurt: whether live calls wait, or take longer than in calm.
    """

    room: int
    why: str = ""
    hurt: bool = False
    slots: int = 0


@dataclass(frozen=True)
class Memory:
    """What earlier looks showed of live answers, by provider and kind: durations last seen, and median in calm."""

    last: Mapping[tuple[str, str], tuple[int, ...]] = field(default_factory=dict)
    calm: Mapping[tuple[str, str], float] = field(default_factory=dict)


@dataclass(frozen=True)
class Window:
    """A window: its size, whether it still doubles, and for how many looks it is not halved again."""

    size: int = FIRST
    doubles: bool = True
    rest: int = 0


def next_window(window: Window, sight: Sight, limit: int) -> Window:
    """The window after one more look.

    Args:
        limit: of whoever runs the job, or of an operator.
    """
    most = min(limit, sight.room)
    if most <= 0:
        return Window(0)
    if window.size == 0:
        return Window(min(FIRST, most))
    if sight.hurt:
        if window.rest:
            return replace(window, size=min(window.size, most), rest=window.rest - 1)
        return Window(max(1, min(window.size, most) // 2), doubles=False, rest=REST)
    size = window.size * 2 if window.doubles else window.size + 1
    return Window(min(size, most), window.doubles, max(0, window.rest - 1))


def in_flight(window: Window, slots: int) -> int:
    """How many rows may be open: the window, and where no more than that can run, some that wait."""
    return window.size + (math.ceil(window.size * LEAD) if window.size >= slots else 0)


def sight(
    providers: Sequence[Provider], policy: Policy, seen: Snapshot, memory: Memory, *, may_pay: bool = True
) -> tuple[Sight, Memory]:
    """Judge one look.

    Args:
        policy: of the rows.
        may_pay: whether a budget is left.
    """
    allowed = [
        p for p in ordered(providers, seen) if policy.allows(p) and (not p.paid or (policy.pays_at_once and may_pay))
    ]
    closed = {p.name: _closed(p, policy, seen) for p in allowed}
    usable = [p for p in allowed if not closed[p.name]]
    # Rows go to the first one; they leave the free providers only where none of them can be asked.
    used = ([p for p in usable if not p.paid] or usable)[:1]
    hurt, memory = _hurt(used, seen, memory)
    if not used:
        reasons = "; ".join(f"{name}: {why}" for name, why in closed.items())
        broke = policy.pays_at_once and not may_pay
        return Sight(0, reasons + (f"; {USED_UP}" if broke else "")), memory
    slots = seen.queue(policy.queue(used[0])).concurrency
    return Sight(_room(used[0], policy, seen), hurt, bool(hurt), slots), memory


def _closed(provider: Provider, policy: Policy, seen: Snapshot) -> str:
    """Why a provider cannot be asked now; empty where it can."""
    queue, breaker = seen.queue(policy.queue(provider)), seen.breaker(provider.name)
    if not queue.concurrency:
        return f"no worker consumes {policy.queue(provider)}"
    if breaker.state == OPEN:
        return f"its breaker is open ({breaker.why})"
    return f"its queue is paused ({queue.paused_why})" if queue.paused_ms else ""


def _room(provider: Provider, policy: Policy, seen: Snapshot) -> int:
    if seen.breaker(provider.name).state == HALF_OPEN:
        return 1
    own = seen.queue(policy.queue(provider)).concurrency
    everybody = own + seen.queue(provider.queue).concurrency
    return min(own, max(1, math.ceil(everybody * SHARE)))


def _hurt(used: Sequence[Provider], seen: Snapshot, memory: Memory) -> tuple[str, Memory]:
    """Why live calls are hurt, where they are; durations count only when answers came since the last look."""
    hurt, last, calm = "", dict(memory.last), dict(memory.calm)
    for provider in used:
        live = seen.queue(provider.queue)
        if live.concurrency and live.depth and live.oldest_ms > LIVE_WAIT_MS:
            hurt = hurt or f"live calls wait for {provider.name}"
        for kind, durations in seen.breaker(provider.name).durations.items():
            key = (provider.name, kind)
            if kind.endswith(".batch") or not durations or last.get(key) == durations:
                continue
            median = statistics.median(durations)
            before = calm.get(key)
            last[key], calm[key] = durations, min(median, before * FORGET) if before else median
            if before and median > before * SLOWER:
                hurt = hurt or f"live answers of {provider.name} take longer"
    return hurt, Memory(last, calm)
