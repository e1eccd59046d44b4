"""What is counted of calls that no worker ends: lost workers, quarantine, deadlines."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from prometheus_client import generate_latest

import tasks.moderation  # noqa: F401 - registers the kind
from tests.support.health import OLLAMA, OPENAI
from tests.support.ledger import Drive
from tests.support.money import PRICE
from tests.support.reconciling import Reconciling
from tests.support.scrape import Scrape
from understudy.settings import load_settings
from workers.arrival import Arrival
from workers.ends import Dropped
from workers.metrics import Metrics
from workers.work import Work

if TYPE_CHECKING:
    from redis.asyncio import Redis

HOUR_MS = 3_600_000


async def parts_of(redis: Redis) -> Reconciling:
    parts = Reconciling(await Drive(redis).ticking())
    parts.context.metrics = Metrics((OLLAMA, OPENAI))
    parts.workers = {"ollama": 1}
    return parts


def seen(parts: Reconciling) -> Scrape:
    return Scrape(generate_latest(parts.context.metrics.registry).decode())


async def lose_a_worker(parts: Reconciling) -> None:
    """A worker takes the call's message and dies."""
    sent = int(await parts.drive.redis.hget(parts.drive.keys.call("c1"), "sent") or 0)
    assert (await parts.drive.begin(sent=sent)).word == "run"
    await parts.tick(10_500)


async def test_three_workers_that_died_count_and_so_does_the_quarantine(redis: Redis) -> None:
    parts = await parts_of(redis)
    await parts.drive.open(deadline_ms=HOUR_MS)
    for _ in range(3):
        await lose_a_worker(parts)
    page = seen(parts)
    assert page.value("understudy_attempts_total", provider="ollama", what="worker_lost") == 3
    assert page.value("understudy_reconciler_total", action="worker_lost") == 2
    assert page.value("understudy_reconciler_total", action="ended") == 1
    assert page.value("understudy_quarantined_total", kind="moderation") == 1
    assert page.value("understudy_calls_total", kind="moderation", outcome="failed") == 1
    assert page.value("understudy_breaker_changes_total") == 0


async def test_a_call_that_leaves_a_queue_without_workers_is_a_fallback(redis: Redis) -> None:
    parts = await parts_of(redis)
    await parts.drive.open()
    parts.workers = {"openai": 1}
    await parts.tick(6_000)
    page = seen(parts)
    labels: dict[str, Any] = {"kind": "moderation", "from": "ollama", "to": "openai", "why": "no_workers"}
    assert page.value("understudy_fallbacks_total", **labels) == 1
    assert page.value("understudy_attempts_total", provider="ollama", what="waited") == 1
    assert page.value("understudy_reconciler_total", action="waited") == 1


async def test_a_call_whose_time_runs_out_where_it_waits_counts_as_failed_or_degraded(redis: Redis) -> None:
    parts = await parts_of(redis)
    await parts.drive.open(deadline_ms=5_000)
    await parts.drive.open("c2", kind="thread_naming", request='{"first_message":"hi"}', deadline_ms=5_000)
    await parts.tick(6_000)
    page = seen(parts)
    assert page.value("understudy_calls_total", kind="moderation", outcome="failed", provider="") == 1
    assert page.value("understudy_calls_total", kind="thread_naming", outcome="degraded", provider="") == 1
    assert page.value("understudy_reconciler_total", action="ended") == 2


async def test_the_ledger_says_so_where_a_message_that_came_again_ends_its_call(redis: Redis) -> None:
    drive = await Drive(redis).ticking()
    sent = (await drive.open(deadline_ms=HOUR_MS)).number("sent")
    for _ in range(3):
        assert (await drive.begin(sent=sent)).word == "run"
        drive.shift += 10_500
        await drive.redis.hset(drive.keys.tick(), "last", str(await drive.now() - 1))
    reply = await drive.begin(sent=sent)
    assert (reply.word, reply.text("why"), reply.text("reason")) == ("drop", "ended", "quarantined")
    again = await drive.begin(sent=sent)
    assert (again.text("why"), again.text("reason")) == ("ended", "")


async def test_an_attempt_that_a_message_that_came_again_finds_lost_counts_with_its_requests(
    redis: Redis,
) -> None:
    parts = await parts_of(redis)
    sent = (await parts.drive.open(deadline_ms=HOUR_MS)).number("sent")
    for _ in range(3):
        assert (await parts.drive.begin(sent=sent)).word == "run"
        parts.drive.shift += 10_500
        await redis.hset(parts.drive.keys.tick(), "last", str(await parts.drive.now() - 1))
    end = await Work(parts.context).on(Arrival("c1", "moderation", "ollama", OLLAMA, sent, "token", None))
    assert end == Dropped("ended")
    page = seen(parts)
    assert page.value("understudy_attempts_total", provider="ollama", what="worker_lost") == 1
    assert page.value("understudy_requests_total", provider="ollama") == 1
    assert page.value("understudy_quarantined_total", kind="moderation") == 1


async def test_an_attempt_that_a_budget_denied_is_counted(redis: Redis) -> None:
    parts = await parts_of(redis)
    parts.context.settings = load_settings(
        env_file=None, openai_api_key="sk-test", understudy_budget_day_usd="0.000001"
    )
    paid = replace(OPENAI, price=PRICE)
    sent = (await parts.drive.open(provider="openai", queue="openai")).number("sent")
    await Work(parts.context).on(Arrival("c1", "moderation", "openai", paid, sent, "token", None))
    page = seen(parts)
    assert page.value("understudy_attempts_total", provider="openai", what="budget") == 1
    assert page.value("understudy_requests_total", provider="openai") == 0
