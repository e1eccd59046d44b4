"""What `doctor` looks at in Redis: the server, how it keeps data, its clock, who works."""

from __future__ import annotations

import statistics
import time
from typing import TYPE_CHECKING, Any

from redis.exceptions import RedisError

from bot_client.cli.check import Check
from bot_client.cli.checks_workers import worker_checks
from bot_client.cli.installation import redis_fault
from understudy.redis_client import redis_from
from understudy.urls import mask_url
from understudy.words import span

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from redis.asyncio import Redis

    from understudy.providers import Provider
    from understudy.settings import Settings

LIMIT_S = 3.0
OLDEST = (6, 2)
"""Of the Redis versions that kombu supports."""

PINGS = 9
SLOW_MS, TOO_SLOW_MS = 20.0, 250.0
"""A call is some ten round trips; the client gives up on Redis after a second."""

SKEW_MS, TOO_SKEWED_MS = 2_000, 60_000
"""Nothing here compares two clocks; logs, certificates and Celery's own countdowns do."""

FULL = 0.8

_AFTER_REACH = ("redis version", "redis role", "redis eviction", "redis persistence", "redis clock", "redis latency")


async def redis_checks(settings: Settings, providers: Sequence[Provider]) -> list[Check]:
    """All that can be said of Redis; what cannot be looked at has failed too."""
    where = mask_url(settings.redis_url)
    redis = redis_from(settings, reply_s=LIMIT_S)
    try:
        pings = [await _ping_ms(redis) for _ in range(PINGS)]
        before = time.time()
        seconds, micros = await redis.time()
        between = (before + time.time()) / 2
        info = await redis.info("all")
        found = [
            Check("redis", True, f"{where} answers"),
            *server_checks(info),
            latency_check(statistics.median(pings)),
            clock_check((seconds + micros / 1e6 - between) * 1000),
        ]
    except RedisError as error:
        hint = "Start it, or set REDIS_URL to where it is; user, password and ssl_ca_certs (rediss://) go into the URL."
        reach = Check("redis", False, f"{where} {redis_fault(error)}", hint)
        return [reach, *(Check(name, False, "not checked: Redis gave no answer") for name in _AFTER_REACH)]
    else:
        return found + await worker_checks(redis, settings, providers)
    finally:
        await redis.aclose()


async def _ping_ms(redis: Redis) -> float:
    before = time.perf_counter()
    await redis.ping()
    return (time.perf_counter() - before) * 1000


def server_checks(info: Mapping[str, Any]) -> list[Check]:
    """What `INFO` tells."""
    return [_version(info), _role(info), *_eviction(info), _persistence(info)]


def _version(info: Mapping[str, Any]) -> Check:
    # Valkey says in redis_version which Redis it is compatible with.
    said = str(info.get("redis_version", "unknown"))
    own = (
        f"Valkey {info['valkey_version']}, compatible with Redis {said}"
        if "valkey_version" in info
        else f"Redis {said}"
    )
    numbers = tuple(int(part) for part in said.split(".")[:2] if part.isdigit())
    ok = numbers >= OLDEST
    hint = "" if ok else f"Redis {'.'.join(map(str, OLDEST))} or newer is needed."
    return Check("redis version", ok, own, hint)


def _role(info: Mapping[str, Any]) -> Check:
    role = str(info.get("role", "unknown"))
    if int(info.get("cluster_enabled", 0)):
        hint = "A call's keys lie on several slots: use one primary, with Sentinel if need be."
        return Check("redis role", False, "part of a Redis Cluster", hint)
    if role != "master":
        return Check("redis role", False, f"{role}, which takes no writes", "Set REDIS_URL to the primary.")
    return Check("redis role", True, "primary")


def _eviction(info: Mapping[str, Any]) -> list[Check]:
    policy = str(info.get("maxmemory_policy", "unknown"))
    limit, used = int(info.get("maxmemory", 0)), int(info.get("used_memory", 0))
    ok = policy == "noeviction"
    hint = (
        "" if ok else "Set maxmemory-policy noeviction: any other policy throws open calls away when memory runs out."
    )
    share = f"{used / limit:.0%} of {limit / 2**20:.0f} MB" if limit else f"{used / 2**20:.0f} MB, without a limit"
    if ok and limit and used > FULL * limit:
        hint = "Raise maxmemory: a full Redis refuses writes, and no call can be opened."
    return [Check("redis eviction", ok, f"{policy}; memory in use: {share}", hint)]


def _persistence(info: Mapping[str, Any]) -> Check:
    if int(info.get("aof_enabled", 0)):
        if str(info.get("aof_last_write_status", "ok")) != "ok":
            return Check("redis persistence", False, "append-only file: the last write failed", "Look at its disk.")
        return Check("redis persistence", True, "append-only file")
    hint = "Set appendonly yes and appendfsync everysec: now a restart of Redis loses every open call."
    return Check("redis persistence", False, "no append-only file", hint)


def latency_check(ms: float) -> Check:
    """How long one round trip takes."""
    ok = ms <= TOO_SLOW_MS
    hint = "" if ms <= SLOW_MS else "A call takes some ten round trips: put Redis nearer, or find out what blocks it."
    return Check("redis latency", ok, f"{ms:.1f} ms a round trip (median of {PINGS})", hint)


def clock_check(ahead_ms: float) -> Check:
    """How far Redis's clock, which all times come from, is from this machine's."""
    off = abs(ahead_ms)
    detail = f"{span(off)} {'ahead of' if ahead_ms > 0 else 'behind'} this machine's"
    hint = "" if off <= SKEW_MS else "Let NTP set both clocks: times in logs will not match."
    return Check("redis clock", off <= TOO_SKEWED_MS, detail, hint)
