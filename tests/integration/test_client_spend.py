"""What a client reads of the money: on totals in a real Redis, and of the client in memory."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from bot_client import InvalidRequest, SpendReport, SpendRow
from bot_client.testing import FakeUnderstudy
from tests.support.client_world import KINDS_OF_CLIENT, World, world_of
from tests.support.clients import client_of
from tests.support.spent import charge
from understudy.state.keys import Keys
from understudy.state.spend import BY, KEPT_DAYS, Spend

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from redis.asyncio import Redis

VERDICT = {"helpful": True, "violation": None, "quality_score": 5, "action": "none", "reason": "It is fine."}


@pytest.fixture
def spend(redis: Redis) -> Spend:
    return Spend(redis, Keys("u:"))


@pytest.fixture(params=KINDS_OF_CLIENT)
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    async with world_of(request) as made:
        yield made


def rows(report: SpendReport) -> list[tuple[str, int, int]]:
    return [(row.name, row.microusd, row.requests) for row in report.rows]


async def test_a_new_installation_has_spent_nothing_by_anything(world: World) -> None:
    today = datetime.now(UTC).date()
    for by in BY:
        report = await world.llm.spend(by=by)
        assert (report.by, report.microusd, report.requests, report.rows) == (by, 0, 0, ())
        assert report.until - today <= timedelta(days=1)


async def test_a_wrong_span_is_refused_by_name(world: World) -> None:
    with pytest.raises(InvalidRequest, match="spend: by must be one of day, hour, month, user"):
        await world.llm.spend(by="colour")  # type: ignore[arg-type]
    with pytest.raises(InvalidRequest, match="spend: since is 2026-03-02; it must not be after 2026-03-01"):
        await world.llm.spend(since=date(2026, 3, 2), until=date(2026, 3, 1))
    with pytest.raises(InvalidRequest, match="spend: since must be at least a day"):
        await world.llm.spend(since=timedelta(hours=3))


async def test_days_stand_in_order_and_those_before_the_span_are_left_out(redis: Redis, spend: Spend) -> None:
    today = await spend.today()
    for ago, microusd in ((0, 5), (1, 7), (6, 11), (7, 1000)):
        await charge(redis, today - timedelta(ago), microusd)
    report = await spend.report()
    assert rows(report) == [(str(today - timedelta(ago)), cost, 1) for ago, cost in ((6, 11), (1, 7), (0, 5))]
    assert (report.since, report.until, report.microusd, report.requests) == (today - timedelta(6), today, 23, 3)
    assert rows(await spend.report(since=timedelta(days=1))) == [(str(today), 5, 1)]
    assert rows(await spend.report(since=today - timedelta(8), until=today - timedelta(7))) == [
        (str(today - timedelta(7)), 1000, 1)
    ]


async def test_users_are_added_up_over_days_and_what_has_no_user_has_a_row(redis: Redis, spend: Spend) -> None:
    today = await spend.today()
    await charge(redis, today, 5, user="ann", kind="moderation", model="m")
    await charge(redis, today - timedelta(1), 6, user="ann", kind="moderation", model="m")
    await charge(redis, today, 20, user="a:b", kind="agent_turn", model="m:8b")
    await charge(redis, today, 3, kind="moderation", model="m")
    assert rows(await spend.report(by="user")) == [("a:b", 20, 1), ("ann", 11, 2), ("", 3, 1)]
    assert rows(await spend.report(by="kind")) == [("agent_turn", 20, 1), ("moderation", 14, 3)]
    assert rows(await spend.report(by="model")) == [("m:8b", 20, 1), ("m", 14, 3)]


async def test_an_outage_shows_in_its_hours(redis: Redis, spend: Spend) -> None:
    today = await spend.today()
    yesterday = today - timedelta(1)
    for hour in ("22", "09", "22"):
        await charge(redis, yesterday, 4, hour=hour)
    await charge(redis, today, 1, hour="00")
    assert rows(await spend.report(by="hour")) == [
        (f"{yesterday} 09:00", 4, 1),
        (f"{yesterday} 22:00", 8, 2),
        (f"{today} 00:00", 1, 1),
    ]


async def test_months_reach_further_back_than_days(redis: Redis, spend: Spend) -> None:
    today = await spend.today()
    long_ago = (today.replace(day=1) - timedelta(70)).replace(day=1)
    await charge(redis, today, 5)
    await charge(redis, long_ago, 9)
    by_month = await spend.report(by="month", since=long_ago)
    assert rows(by_month) == [(f"{long_ago:%Y-%m}", 9, 1), (f"{today:%Y-%m}", 5, 1)]
    by_day = await spend.report(since=long_ago)
    assert by_day.since == today - timedelta(KEPT_DAYS - 1)
    assert by_day.microusd == 5


async def test_the_real_client_reads_what_was_charged(redis: Redis, redis_url: str, spend: Spend) -> None:
    await charge(redis, await spend.today(), 42, kind="moderation", user="7")
    async with client_of(redis_url) as llm:
        assert (await llm.spend(by="user")).rows == (SpendRow("7", 42, 1),)


async def test_the_client_in_memory_adds_up_what_its_script_says() -> None:
    async with FakeUnderstudy() as llm:
        llm.fall_back("moderation", VERDICT, cost_microusd=120)
        await llm.moderate("first", user_id=7)
        await llm.moderate("second")
        report = await llm.spend(by="user", since=timedelta(days=1))
        assert (report.microusd, report.requests, report.rows) == (120, 1, (SpendRow("7", 120, 1),))
        assert (await llm.spend(by="provider")).rows == (SpendRow("openai", 120, 1),)
        assert (await llm.spend(by="month")).microusd == 120
