"""Alerts of the ledger: each once in its period, whoever crosses the line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import structlog

from tests.support.ledger import Drive
from tests.support.money import MOST, begun, budget, opened, report, run_paid
from understudy.state.spend import Spend
from workers.alerts import Alerts

if TYPE_CHECKING:
    from redis.asyncio import Redis


async def alerts(drive: Drive) -> list[tuple[str, int]]:
    """What was noted, oldest first: which budget, how much of it."""
    return [(each.budget, each.percent) for each in reversed(await Spend(drive.redis, drive.keys).alerts())]


async def test_a_budget_says_once_each_that_it_is_used_up_to_half_four_fifths_and_all(redis: Redis) -> None:
    drive = await Drive(redis).ticking()
    money = budget(day=10 * MOST)
    for n in range(10):
        await run_paid(drive, f"c{n}", money)
        said = [50] * (n >= 4) + [80] * (n >= 7) + [100] * (n >= 9)
        assert await alerts(drive) == [("day", percent) for percent in said]
    await begun(drive, "late", money, sent=(await opened(drive, "late")).number("sent"))
    assert len(await alerts(drive)) == 3


async def test_a_line_that_is_crossed_again_after_a_refund_is_said_once(redis: Redis) -> None:
    drive = await Drive(redis).ticking()
    for n in range(4):
        run = await run_paid(drive, f"c{n}", budget(day=2 * MOST - 1))
        await drive.finish(run, f"c{n}", report=report(drive, run, 1))
    assert await alerts(drive) == [("day", 50)]


async def test_the_next_day_says_it_anew_and_each_user_has_alerts_of_their_own(redis: Redis) -> None:
    drive = await Drive(redis).ticking()
    for user in ("ann", "bob"):
        await run_paid(drive, f"of-{user}", budget(user_day=2 * MOST), opts=f'{{"user_id":"{user}"}}')
    drive.shift += 86_400_000
    await run_paid(drive, "of-ann-again", budget(user_day=2 * MOST), opts='{"user_id":"ann"}')
    assert await alerts(drive) == [("user ann", 50), ("user bob", 50), ("user ann", 50)]


async def test_a_budget_without_room_for_a_request_is_reached_when_it_first_denies(redis: Redis) -> None:
    drive = await Drive(redis).ticking()
    for n in range(3):
        sent = (await opened(drive, f"c{n}")).number("sent")
        assert (await begun(drive, f"c{n}", budget(month=MOST - 1), sent=sent)).word == "denied"
    assert await alerts(drive) == [("month", 100)]


async def answer(drive: Drive, n: int, *, paid: bool) -> None:
    provider = "openai" if paid else "ollama"
    sent = (await drive.open(f"a{n}", provider=provider, queue=provider)).number("sent")
    run = await drive.begin(f"a{n}", provider=provider, sent=sent)
    assert (await drive.finish(run, f"a{n}", provider=provider, paid=paid)).word == "accepted"


async def test_more_paid_calls_than_a_twentieth_of_an_hour_are_said_once_an_hour(redis: Redis) -> None:
    drive = await Drive(redis).ticking()
    drive.shift += 3_600_000 - await drive.now() % 3_600_000  # the hour is young
    for n in range(38):
        await answer(drive, n, paid=False)
    await answer(drive, 38, paid=True)
    await answer(drive, 39, paid=True)
    assert await alerts(drive) == []  # 2 of 40
    await answer(drive, 40, paid=True)
    await answer(drive, 41, paid=True)
    (alert,) = await Spend(drive.redis, drive.keys).alerts()
    assert (alert.name, alert.percent, alert.used, alert.limit) == ("paid_share", 7, 3, 41)


async def test_a_few_calls_are_no_share(redis: Redis) -> None:
    drive = await Drive(redis).ticking()
    for n in range(19):
        await answer(drive, n, paid=True)
    assert await alerts(drive) == []


async def test_each_alert_is_one_line_in_one_workers_log(redis: Redis) -> None:
    drive = await Drive(redis).ticking()
    await run_paid(drive, "c1", budget(day=2 * MOST))
    workers = [Alerts(drive.ledger) for _ in range(3)]
    with structlog.testing.capture_logs() as lines:
        assert [await worker.look() for worker in workers] == [1, 0, 0]
        await run_paid(drive, "c2", budget(day=2 * MOST))
        assert [await worker.look() for worker in workers] == [2, 0, 0]
    said: list[Any] = [(line["event"], line["name"], line["budget"], line["percent"]) for line in lines]
    assert said == [("alert", "budget", "day", percent) for percent in (50, 80, 100)]
    assert lines[0]["limit"] == "$0.0006"


async def test_a_repeat_after_a_lost_reply_gets_the_same_alerts_and_others_none(redis: Redis) -> None:
    drive = await Drive(redis).ticking()
    await run_paid(drive, "c1", budget(day=2 * MOST))
    first = await drive.ledger.lua("alerts", most=9, token="one")
    assert len(first) == 1
    assert await drive.ledger.lua("alerts", most=9, token="two") == []
    assert await drive.ledger.lua("alerts", most=9, token="one") == first
    await run_paid(drive, "c2", budget(day=2 * MOST))
    second = await drive.ledger.lua("alerts", most=9, token="two")
    assert second != first
    assert second
    assert await drive.ledger.lua("alerts", most=9, token="one") == []
