"""Budgets in the ledger: lease, permit and reservation are taken together or not at all."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.health import TWO, seen
from tests.support.ledger import Drive
from tests.support.money import MONEY, MOST, again, begun, budget, charged, opened, report, run_paid
from understudy.contracts.call import Attempt, Reason
from understudy.moves import End, Park, To, next_move
from understudy.state.record import PARKED, Record

if TYPE_CHECKING:
    from redis.asyncio import Redis

JOB = '{"job":"j1"}'


async def driven(redis: Redis) -> Drive:
    return await Drive(redis).ticking()


async def record(drive: Drive, call_id: str = "c1") -> Record:
    found = await drive.ledger.record(call_id)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("name", "limits", "opts", "other"),
    [
        ("day", {"day": 3 * MOST}, "{}", "{}"),
        ("month", {"month": 3 * MOST}, "{}", "{}"),
        ("user", {"user_day": 3 * MOST}, '{"user_id":"ann"}', '{"user_id":"bob"}'),
        ("kind", {"kind_day": {"moderation": 3 * MOST}}, "{}", None),
        ("job", {}, JOB, '{"job":"j2"}'),
    ],
)
async def test_a_budget_has_room_for_so_many_requests_and_no_more(
    redis: Redis, name: str, limits: dict[str, Any], opts: str, other: str | None
) -> None:
    drive = await driven(redis)
    await redis.hset(drive.keys.job("j1"), "budget_microusd", str(3 * MOST))
    money = budget(**limits)
    for n in range(3):
        await run_paid(drive, f"c{n}", money, opts=opts)
    sent = (await opened(drive, "late", opts=opts)).number("sent")
    denied = await begun(drive, "late", money, sent=sent)
    assert (denied.word, denied.text("why")) == ("denied", "budget")
    assert ((await record(drive, "late")).short, await charged(drive)) == (name, 3 * MOST)
    if other is not None and other != opts:
        await run_paid(drive, "of-another", money, opts=other)


async def test_a_refund_makes_room_again(redis: Redis) -> None:
    drive = await driven(redis)
    money = budget(day=MOST + 10)
    run = await run_paid(drive, "c1", money)
    await drive.finish(run, report=report(drive, run, 10))
    await run_paid(drive, "c2", money)


async def test_fifty_at_once_get_no_more_than_the_budget(redis: Redis) -> None:
    drive = await driven(redis)
    sents = [(await opened(drive, f"c{n}")).number("sent") for n in range(50)]
    money = budget(day=5 * MOST)
    replies = await asyncio.gather(*(begun(drive, f"c{n}", money, sent=sent) for n, sent in enumerate(sents)))
    assert sorted(reply.word for reply in replies) == ["denied"] * 45 + ["run"] * 5
    assert await charged(drive) == 5 * MOST


async def test_a_call_may_cost_no_more_than_its_own_limit_in_all(redis: Redis) -> None:
    drive = await driven(redis)
    sent = (await opened(drive, opts=f'{{"max_cost_microusd":{MOST + 100}}}')).number("sent")
    run = await begun(drive, sent=sent, token="t")
    more = await again(drive, run, report(drive, run, MOST))
    assert more.word == "run"
    denied = await again(drive, more, report(drive, more, 50), epoch=run.number("epoch"))
    assert (denied.word, denied.text("why"), denied.text("budget")) == ("denied", "budget", "call")
    assert await charged(drive) == MOST + 50


async def test_a_denied_call_holds_nothing_and_its_denial_is_repeated_alike(redis: Redis) -> None:
    drive = await driven(redis)
    sent = (await opened(drive)).number("sent")
    first = await begun(drive, money=budget(day=0), sent=sent, token="t")
    second = await begun(drive, money=budget(day=0), sent=sent, token="t")
    assert first.word == second.word == "denied"
    assert first.values["turn"] == second.values["turn"]
    known = await record(drive)
    assert (known.state, known.lease, known.requests, known.crashes) == (PARKED, 0, 0, 0)
    assert [(attempt.provider, attempt.what) for attempt in known.attempts] == [("openai", "budget")]


async def test_a_half_open_provider_keeps_its_place_where_a_budget_denies(redis: Redis) -> None:
    drive = await driven(redis)
    await redis.hset(drive.keys.breaker("openai", "m"), mapping={"state": "half_open", "gen": "7", "succ": "0"})
    sent = (await opened(drive)).number("sent")
    assert (await begun(drive, money=budget(day=0), sent=sent)).text("why") == "budget"
    await run_paid(drive, "c2")
    denied = await begun(drive, "c3", sent=(await opened(drive, "c3")).number("sent"))
    assert (denied.word, await charged(drive)) == ("denied", MOST)


async def test_an_open_breaker_denies_before_any_budget_is_looked_at(redis: Redis) -> None:
    drive = await driven(redis)
    until = await drive.now() + 60_000
    await redis.hset(drive.keys.breaker("openai", "m"), mapping={"state": "open", "gen": "7", "until": str(until)})
    denied = await begun(drive, money=budget(day=0), sent=(await opened(drive)).number("sent"))
    assert denied.text("why") != "budget"
    assert (await record(drive)).short == ""


async def test_a_worker_that_dies_before_its_hop_leaves_no_loop(redis: Redis) -> None:
    drive = await driven(redis)
    sent = (await opened(drive)).number("sent")
    await begun(drive, money=budget(day=0), sent=sent)
    assert await drive.later(5_500) == [("c1", "parked")]
    known = await record(drive)
    state = replace(seen(), now=await drive.now())
    assert next_move(known, TWO, state) == To("ollama", "next")
    tried = await drive.ledger.hop("c1", epoch=known.epoch, turn=known.turn, token="r", by="reconciler", tried="ollama",
                                   attempt=Attempt(provider="ollama", what="refused"), until_ms=2_000)  # fmt: skip
    assert tried.word == "parked"
    # never again the paid one: a new round of the free one alone, and in the end an error that says why
    assert next_move(await record(drive), TWO, state) == Park(2_000, {"ollama": 2_000})
    assert next_move(await record(drive), TWO, replace(state, now=known.deadline)) == End(Reason.BUDGET)


async def test_a_batch_row_that_is_denied_asks_again_later_and_is_never_quarantined(redis: Redis) -> None:
    drive = await driven(redis)
    sent = (await opened(drive, opts=JOB, queue="openai.batch", deadline_ms=3_600_000)).number("sent")
    for n in range(5):
        denied = await begun(drive, money=budget(day=0), sent=sent, queue="openai.batch")
        assert denied.text("why") == "budget"
        assert denied.number("until") - denied.number("now") == 30_000
        drive.shift += 30_000
        moved = await drive.ledger.hop("c1", epoch=denied.number("epoch"), turn=denied.number("turn"), token=f"r{n}",
                                       by="reconciler", to="openai", queue="openai.batch")  # fmt: skip
        sent = moved.number("sent")
    known = await record(drive)
    assert (known.crashes, known.attempts, known.short) == (0, (), "day")
    assert (await begun(drive, money=MONEY, sent=sent, queue="openai.batch")).word == "run"
