"""What `doctor` looks at in the shared state: who works on which queue, breakers, whether lost calls are found."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from redis.exceptions import RedisError

from bot_client.cli.check import Check
from bot_client.cli.installation import redis_fault
from understudy import __version__
from understudy.state.health import OPEN, Health, Snapshot
from understudy.state.keys import TICK_MS, Keys
from understudy.words import count, span, words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from redis.asyncio import Redis

    from understudy.providers import Provider
    from understudy.settings import Settings

STALE_TICKS = 5

FIRST_TICK_S = 2 * TICK_MS / 1000
"""Workers that have just started are given this long for their first tick."""

LOOK_S = 0.1


async def worker_checks(redis: Redis, settings: Settings, providers: Sequence[Provider]) -> list[Check]:
    """Queues, breakers and the reconciler, as all workers share them."""
    keys = Keys(settings.understudy_prefix)
    try:
        seen = await Health(redis, keys, providers).snapshot()
        last = await _last_tick(redis, keys, patience_s=FIRST_TICK_S if seen.workers else 0)
        async with redis.pipeline(transaction=False) as pipe:
            for worker in seen.workers:
                pipe.hget(keys.worker(str(worker["id"])), "version")
            versions = await pipe.execute()
    except RedisError as error:
        hint = "The user in REDIS_URL must be allowed to run scripts and to read every key under the prefix."
        return [Check("shared state", False, f"Redis {redis_fault(error)}", hint)]
    found = [check for provider in providers for check in queue_checks(provider, seen)]
    found += [breaker_check(provider, seen) for provider in providers]
    if seen.workers:
        found.append(version_check([str(found) for found in versions if found]))
        found.append(tick_check(None if last is None else seen.now - last))
    return found


async def _last_tick(redis: Redis, keys: Keys, *, patience_s: float) -> int | None:
    """When a reconciler looked last, in Redis milliseconds; None where none has by the end of the patience."""
    while True:
        last = await redis.hget(keys.tick(), "last")
        if last is not None:
            return int(float(last))
        if patience_s <= 0:
            return None
        await asyncio.sleep(LOOK_S)
        patience_s -= LOOK_S


def queue_checks(provider: Provider, seen: Snapshot) -> list[Check]:
    """Whether somebody consumes a provider's queues; a batch queue only where something waits in it."""
    checks = []
    for name in (provider.queue, provider.batch_queue):
        queue = seen.queue(name)
        workers = sum(name in str(worker["queues"]).split(",") for worker in seen.workers)
        if name == provider.batch_queue and not (workers or queue.depth):
            continue
        waiting = (
            f"; {count(queue.depth, 'call')} waiting, the oldest for {span(queue.oldest_ms)}" if queue.depth else ""
        )
        if workers:
            detail = f"{count(workers, 'worker')}, {count(queue.concurrency, 'call')} at once{waiting}"
            checks.append(Check(f"queue {name}", True, detail))
        else:
            hint = f"Start one: celery -A workers worker -Q {name}"
            checks.append(Check(f"queue {name}", False, f"no worker consumes it{waiting}", hint))
    return checks


def breaker_check(provider: Provider, seen: Snapshot) -> Check:
    """Whether live calls may reach a provider; an open breaker is news, not a fault of the set-up."""
    breaker = seen.breaker(provider.name)
    name = f"breaker {provider.name}"
    if breaker.state != OPEN:
        return Check(name, True, words(breaker.state))
    left = span(breaker.until - seen.now)
    hint = f"Calls go elsewhere for up to {left}. When its cause is mended: understudy clear {provider.name}"
    return Check(name, True, f"open: {words(breaker.why)}", hint)


def version_check(versions: Sequence[str]) -> Check:
    """Whether all run the same version."""
    others = sorted({found for found in versions if found != __version__})
    if not others:
        return Check("worker versions", True, f"all {__version__}" if versions else "not told")
    hint = "Neighbouring versions work together; update the older side soon."
    return Check("worker versions", True, f"{', '.join(others)}; here {__version__}", hint)


def tick_check(since_ms: int | None) -> Check:
    """Whether lost messages and dead workers' calls are being looked for."""
    name = "reconciler"
    if since_ms is not None and since_ms <= STALE_TICKS * TICK_MS:
        return Check(name, True, f"last tick {span(since_ms)} ago")
    when = "it has never run" if since_ms is None else f"last tick {span(since_ms)} ago"
    return Check(name, False, when, "Every worker runs it, one at a time: restart the workers and look at their logs.")
