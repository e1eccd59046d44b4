"""What a call costs each process in processor time and Redis in commands and memory, and what an idle worker costs.

    python -m benchmarks.capacity [--calls 2000] [--window 100] [--latency-ms 1000]

Processor time for each call, not calls each second: other programs on the machine make the second wrong, and hardly the
first.
"""

from __future__ import annotations

import asyncio
import json
import platform
import time
from pathlib import Path
from typing import Any

import click
import redis as redis_sync

from benchmarks.one_worker import OneWorker
from bot_client import Understudy, UnderstudyError
from workers.stand_in import Fate

WARM = 50
TEXT = "You have won a prize! Call now to claim it, before the offer ends on Friday. Reply STOP to leave this list."


async def ask(llm: Understudy, calls: int, window: int) -> int:
    """So many moderations, so many of them at once; how many were answered."""
    numbers = iter(range(calls))
    answered = 0

    async def one_after_the_other() -> None:
        nonlocal answered
        for _ in numbers:
            try:
                await llm.moderate(TEXT, deadline_s=300)
            except UnderstudyError:
                continue
            answered += 1

    await asyncio.gather(*(one_after_the_other() for _ in range(window)))
    return answered


def of_redis(stack: OneWorker) -> tuple[dict[str, Any], dict[str, Any]]:
    """How often each command was run, and the rest of what the server tells."""
    with redis_sync.Redis.from_url(stack.redis.url()) as client:
        commands: Any = client.info("commandstats")
        rest: Any = client.info()
    return {name.removeprefix("cmdstat_"): row["calls"] for name, row in commands.items()}, rest


def record_bytes(stack: OneWorker) -> int:
    """What the record of an ended call takes, in the middle."""
    with redis_sync.Redis.from_url(stack.redis.url()) as client:
        sizes = sorted(
            int(client.memory_usage(key, samples=0) or 0) for key in list(client.scan_iter("u:call:*", count=500))[:200]
        )
    return sizes[len(sizes) // 2]


def measure(calls: int, window: int, latency_ms: int, idle_s: float) -> dict[str, Any]:
    """All figures."""
    with OneWorker(Fate(latency_ms=latency_ms), window) as stack:
        with redis_sync.Redis.from_url(stack.redis.url()) as client:
            client.config_set("appendonly", "yes")  # as it should run

        async def work() -> tuple[int, dict[str, float], float]:
            async with Understudy(stack.settings) as llm:
                await ask(llm, WARM, window)
                before, begun = stack.cpu_s(), time.monotonic()
                commands_before[:] = of_redis(stack)
                answered = await ask(llm, calls, window)
                took_s = time.monotonic() - begun
                after = stack.cpu_s()
                return answered, {name: after[name] - before[name] for name in after}, took_s

        commands_before: list[dict[str, Any]] = []
        answered, used, took_s = asyncio.run(work())
        commands, rest = of_redis(stack)
        sent = {name: count - commands_before[0].get(name, 0) for name, count in commands.items()}
        before, seen = stack.cpu_s(), of_redis(stack)[0]
        time.sleep(idle_s)
        after, later = stack.cpu_s(), of_redis(stack)[0]
        return {
            "answered": f"{answered} of {calls}, {window} at once, {latency_ms} ms at the provider, in {took_s:.0f} s",
            "ms_of_processor_a_call": {name: round(1000 * spent / calls, 2) for name, spent in used.items()},
            "redis_commands_a_call": round(sum(sent.values()) / calls, 1),
            "scripts_a_call": round(sent.get("evalsha", 0) / calls, 1),
            "record_bytes": record_bytes(stack),
            "worker_rss_mb": rss_mb(stack.worker.pid),
            "idle_worker_ms_of_processor_a_second": round(1000 * (after["worker"] - before["worker"]) / idle_s, 1),
            "idle_redis_ms_of_processor_a_second": round(1000 * (after["Redis"] - before["Redis"]) / idle_s, 1),
            "idle_redis_commands_a_second": round((sum(later.values()) - sum(seen.values())) / idle_s),
            "redis_connections": rest["connected_clients"],
            "redis": rest.get("valkey_version") or rest["redis_version"],
            "text_bytes": len(TEXT),
            "machine": f"{platform.machine()}, {cpu_model()}, Python {platform.python_version()}",
        }


def rss_mb(pid: int) -> int | None:
    """What a process has in memory, where the system tells it."""
    status = Path(f"/proc/{pid}/status")
    lines = status.read_text(encoding="utf-8").splitlines() if status.exists() else []
    found = [int(line.split()[1]) // 1024 for line in lines if line.startswith("VmRSS")]
    return found[0] if found else None


def cpu_model() -> str:
    """What the system says of its processor."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{len(names)} x {names[0]}" if names else platform.processor()


@click.command()
@click.option("--calls", default=2_000, show_default=True, type=click.IntRange(1), help="Moderations in all.")
@click.option("--window", default=100, show_default=True, type=click.IntRange(1), help="At once.")
@click.option("--latency-ms", default=1_000, show_default=True, type=click.IntRange(0), help="Of the provider.")
@click.option("--idle-s", default=15.0, show_default=True, type=click.FloatRange(0.1), help="To look at it idle.")
def main(calls: int, window: int, latency_ms: int, idle_s: float) -> None:
    """Measure a call's cost in processor time, commands and memory."""
    click.echo(json.dumps(measure(calls, window, latency_ms, idle_s), indent=2))


if __name__ == "__main__":
    main()
