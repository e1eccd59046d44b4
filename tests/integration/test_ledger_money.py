"""Money in the ledger: charged at the reservation, one a request, corrected once by its id."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.support.ledger import Drive
from tests.support.money import MOST, again, begun, charged, opened, report, run_paid, totals

if TYPE_CHECKING:
    from redis.asyncio import Redis

AGAIN = 90


async def driven(redis: Redis) -> Drive:
    return await Drive(redis).ticking()


async def test_what_a_request_can_cost_is_charged_to_every_total_before_it_is_sent(redis: Redis) -> None:
    drive = await driven(redis)
    opts = '{"user_id":"ann","chat_id":"g1","job":"j1"}'
    run = await run_paid(drive, opts=opts)
    assert run.number("reserved") == MOST
    parts = ("total", "provider:openai", "model:m", "kind:moderation", "chat:g1", "job:j1")
    wanted = {name: amount for part in parts for name, amount in ((part, MOST), (f"n:{part}", 1))}
    assert await totals(drive, "month") == wanted
    assert await totals(drive, "job") == wanted
    day = await totals(drive)
    (hour,) = [name for name in day if name.startswith("hour:")]
    assert day == {**wanted, "user:ann": MOST, "n:user:ann": 1, hour: MOST, f"n:{hour}": 1}


async def test_every_total_has_its_time_to_live(redis: Redis) -> None:
    drive = await driven(redis)
    await run_paid(drive, opts='{"job":"j1"}')
    kept = [await redis.ttl(key) async for key in redis.scan_iter("t:spend:*")]
    assert sorted(-(-seconds // 86_400) for seconds in kept) == [35, 35, 400]


async def test_an_answer_settles_its_request_at_what_it_cost(redis: Redis) -> None:
    drive = await driven(redis)
    run = await run_paid(drive)
    assert (await drive.finish(run, report=report(drive, run, 42))).word == "accepted"
    assert (await charged(drive), (await totals(drive))["n:total"]) == (42, 1)
    assert (await totals(drive, "month"))["kind:moderation"] == 42


async def test_one_that_cost_more_than_was_reserved_is_charged_in_full(redis: Redis) -> None:
    drive = await driven(redis)
    run = await run_paid(drive)
    await drive.finish(run, report=report(drive, run, MOST + 7))
    assert await charged(drive) == MOST + 7


async def test_a_request_with_unknown_usage_keeps_the_whole(redis: Redis) -> None:
    drive = await driven(redis)
    run = await run_paid(drive)
    await drive.finish(run, report=report(drive, run, None))
    assert await charged(drive) == MOST


async def test_a_request_that_was_certainly_not_billed_settles_at_nothing(redis: Redis) -> None:
    drive = await driven(redis)
    run = await run_paid(drive)
    await drive.fail_over(run, to="ollama", report=report(drive, run, 0, verdict="none"))
    assert await charged(drive) == 0


@pytest.mark.parametrize("last", ["hop", "finish", "report"])
async def test_a_request_whose_grant_never_came_was_not_sent_and_is_not_charged(redis: Redis, last: str) -> None:
    drive = await driven(redis)
    run = await run_paid(drive)
    assert (await again(drive, run, report(drive, run, 0, verdict="none"))).word == "run"
    assert await charged(drive) == AGAIN
    told = report(drive, run, 0, verdict="none")
    for _ in range(2):
        if last == "hop":
            await drive.fail_over(run, to="ollama", report=told)
        elif last == "finish":
            await drive.finish(run, report=told)
        else:
            await drive.ledger.report("c1", told, last=True)
        assert await charged(drive) == 0


async def test_a_report_between_two_requests_leaves_the_later_one_alone(redis: Redis) -> None:
    drive = await driven(redis)
    run = await run_paid(drive)
    await again(drive, run, report(drive, run, 0, verdict="none"))
    await drive.ledger.report("c1", report(drive, run, 0, verdict="none"))
    assert await charged(drive) == AGAIN


async def test_a_free_provider_reserves_nothing(redis: Redis) -> None:
    drive = await driven(redis)
    run = await drive.begin(sent=(await drive.open()).number("sent"))
    await drive.finish(run, report=drive.report(run))
    assert [key async for key in redis.scan_iter("t:spend:*")] == []


async def test_a_refused_finish_settles_all_the_same(redis: Redis) -> None:
    drive = await driven(redis)
    first = await run_paid(drive)
    await drive.later(10_500)
    second = await begun(drive)
    assert await charged(drive) == 2 * MOST
    assert (await drive.finish(first, report=report(drive, first, 42))).word == "refused"
    assert await charged(drive) == MOST + 42
    await drive.finish(second, report=report(drive, second, 50))
    assert await charged(drive) == 92


async def test_a_dead_workers_reservation_stays_charged_and_stands_in_its_attempt(redis: Redis) -> None:
    drive = await driven(redis)
    await run_paid(drive)
    await drive.later(10_500)
    run = await begun(drive)
    await drive.finish(run, report=report(drive, run, 50))
    record = await drive.ledger.record("c1")
    assert record is not None
    assert [(attempt.what, attempt.cost_microusd) for attempt in record.attempts] == [("worker_lost", MOST)]
    assert await charged(drive) == MOST + 50 == sum(record.charges.values())


async def test_attempts_of_a_call_that_is_opened_anew_cost_what_they_cost_alone(redis: Redis) -> None:
    drive = await driven(redis)
    first = await run_paid(drive)
    await drive.finish(first, st="F", reason="rejected", report=report(drive, first, 42))
    await run_paid(drive, token="anew")
    await drive.later(10_500)
    await drive.finish(await begun(drive))
    record = await drive.ledger.record("c1")
    assert record is not None
    assert [(attempt.what, attempt.cost_microusd) for attempt in record.attempts] == [("worker_lost", MOST)]
    assert await charged(drive) == 42 + 2 * MOST


async def test_operations_repeated_after_lost_replies_reserve_and_refund_once(redis: Redis) -> None:
    drive = await driven(redis)
    sent = (await opened(drive)).number("sent")
    for _ in range(2):
        run = await begun(drive, sent=sent, token="t")
        assert (run.number("reserved"), await charged(drive)) == (MOST, MOST)
    for _ in range(2):
        more = await again(drive, run, report(drive, run, 42, verdict="quality"))
        assert (more.number("reserved"), await charged(drive)) == (AGAIN, 42 + AGAIN)
    for _ in range(2):
        given: dict[str, Any] = {"to": "ollama", "report": report(drive, more, 10, verdict="hard", why="reset")}
        assert (await drive.fail_over(run, **given)).word == "publish"
        assert await charged(drive) == 52
    assert (await totals(drive))["n:total"] == 2


async def test_finish_repeated_refunds_once_and_later_reports_change_nothing(redis: Redis) -> None:
    drive = await driven(redis)
    run = await run_paid(drive)
    for _ in range(2):
        assert (await drive.finish(run, token="f", report=report(drive, run, 42))).word == "accepted"
    await drive.ledger.report("c1", report(drive, run, 99))
    assert await charged(drive) == 42


async def test_a_paid_request_that_was_cut_off_and_the_one_after_it_are_two_reservations(redis: Redis) -> None:
    drive = await driven(redis)
    sent = (await opened(drive)).number("sent")
    run = await begun(drive, sent=sent, token="t")
    more = await again(drive, run, report(drive, run, None, verdict="hard", why="cut"))
    assert await charged(drive) == MOST + AGAIN
    assert (await drive.finish(run, report=report(drive, more, 11))).word == "accepted"
    assert await charged(drive) == MOST + 11


async def test_a_charge_is_corrected_in_the_day_and_month_that_it_was_made_in(redis: Redis) -> None:
    drive = await driven(redis)
    drive.shift += 86_400_000 * 31 - await drive.now() % 86_400_000 - 1000  # a second before a midnight of UTC
    run = await run_paid(drive)
    keys = {key async for key in redis.scan_iter("t:spend:*")}
    drive.shift += 86_400_000 * 31
    await drive.finish(run, report=report(drive, run, 42))
    assert {key async for key in redis.scan_iter("t:spend:*")} == keys
    assert await charged(drive) == 42


async def test_a_reservation_that_redis_lost_is_charged_at_its_settlement_once(redis: Redis) -> None:
    drive = await driven(redis)
    run = await run_paid(drive)
    await redis.hdel(drive.keys.call("c1"), f"rsv:{run.text('rid')}")
    await redis.delete(*[key async for key in redis.scan_iter("t:spend:*")])
    for _ in range(2):
        await drive.finish(run, token="f", report=report(drive, run, 42))
    assert await charged(drive) == 42


async def test_a_request_whose_whole_record_redis_lost_is_charged_at_its_settlement_once(redis: Redis) -> None:
    drive = await driven(redis)
    run = await run_paid(drive)
    await redis.flushall()
    for _ in range(2):
        assert (await drive.finish(run, report=report(drive, run, 42))).word == "refused"
    assert (await totals(drive))["kind:moderation"] == await charged(drive) == 42


async def test_an_old_life_settles_also_after_redis_lost_it_and_the_call_was_opened_again(redis: Redis) -> None:
    drive = await driven(redis)
    first = await run_paid(drive)
    await redis.flushall()
    await drive.ledger.due("first", drive.QUEUES)
    second = await run_paid(drive)
    for _ in range(2):
        assert (await drive.finish(first, report=report(drive, first, 42))).word == "refused"
    await drive.finish(second, report=report(drive, second, 50))
    assert await charged(drive) == 92


async def test_a_call_opened_anew_keeps_what_its_failed_life_was_charged(redis: Redis) -> None:
    drive = await driven(redis)
    first = await run_paid(drive)
    await drive.later(10_500)
    assert await drive.ledger.cancel("c1", operator=True) == "X"
    second = await run_paid(drive)
    assert await charged(drive) == 2 * MOST
    await drive.finish(second, report=report(drive, second, 50))
    await drive.ledger.report("c1", report(drive, first, 42))
    assert await charged(drive) == 92
