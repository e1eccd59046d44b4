"""Ends of a call, in every order: cancelled, late, lost by Redis, told twice, opened again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.support.ledger import Drive
from understudy.state.ledger import Due

if TYPE_CHECKING:
    from redis.asyncio import Redis


async def test_cancel_and_finish_have_one_winner_in_either_order(redis: Redis) -> None:
    drive = await Drive(redis).ticking()
    run = await drive.begin(sent=(await drive.open()).number("sent"))
    assert await drive.ledger.cancel("c1", inbox="box") == "X"
    lease = ("c1", run.number("epoch"), run.text("rid"), "ollama", "m")
    assert await drive.ledger.renew([lease]) == ["cancelled"]
    assert (await drive.finish(run)).word == "refused"
    run = await drive.begin("c2", sent=(await drive.open("c2")).number("sent"))
    assert (await drive.finish(run, "c2")).word == "accepted"
    assert await drive.ledger.cancel("c2", operator=True) == "D"
    assert [kind for _, kind, _ in await drive.events()] == ["started", "failed", "started", "done"]


async def test_one_clients_cancel_leaves_the_call_to_the_others(redis: Redis) -> None:
    drive = await Drive(redis).ticking()
    await drive.open()
    assert (await drive.open(inbox="other")).word == "attached"
    assert await drive.ledger.cancel("c1", inbox="box") == "Q"
    assert await drive.ledger.cancel("c1", inbox="other") == "X"


async def test_a_deadline_ends_the_call_while_queued_parked_and_running(redis: Redis) -> None:
    drive = await Drive(redis).ticking()
    await drive.open("queued")
    sent = (await drive.open("running")).number("sent")
    await drive.begin("running", sent=sent)
    sent = (await drive.open("parked")).number("sent")
    run = await drive.begin("parked", sent=sent)
    hop: dict[str, Any] = {"epoch": run.number("epoch"), "turn": run.number("turn"), "token": "p"}
    assert (await drive.ledger.hop("parked", until_ms=60_000, **hop)).word == "parked"
    for _ in range(11):  # its worker renews, up to the end
        drive.shift += 2_900
        await drive.redis.hset(drive.keys.tick(), "last", await drive.now())
        got = await drive.ledger.record("running")
        assert got is not None
        await drive.ledger.renew([("running", got.epoch, "x", "ollama", "m")])
    due = dict(await drive.later(1_500))
    assert due == {"queued": "deadline", "parked": "deadline", "running": "deadline"}


async def test_a_call_past_its_deadline_does_not_begin(redis: Redis) -> None:
    drive = await Drive(redis).ticking()
    sent = (await drive.open()).number("sent")
    drive.shift = 30_001
    assert (await drive.begin(sent=sent)).word == "drop"
    record = await drive.ledger.record("c1")
    assert record is not None
    assert (record.state, record.reason) == ("F", "deadline")


async def test_redis_that_lost_the_call_lets_its_client_open_it_again_and_refuses_the_old_epoch(redis: Redis) -> None:
    drive = await Drive(redis).ticking()
    run = await drive.begin(sent=(await drive.open()).number("sent"))
    await redis.delete(drive.keys.call("c1"))
    assert (await drive.finish(run)).values["why"] == "missing"
    opened = await drive.open(deadline=await drive.now() + 20_000)
    assert opened.word == "publish"
    assert (await drive.begin(sent=opened.number("sent"))).number("epoch") > run.number("epoch")
    assert (await drive.finish(run)).values["why"] == "epoch"


async def test_after_an_outage_nothing_is_taken_over_for_ten_seconds(redis: Redis) -> None:
    drive = await Drive(redis).ticking()
    await drive.begin(sent=(await drive.open()).number("sent"))
    drive.shift = 16_000
    assert (await drive.ledger.due("first", Drive.QUEUES))[0] == "quiet"
    await redis.hset(drive.keys.tick(), "last", await drive.now())
    assert await drive.ledger.renew([("c1", 0, "x", "ollama", "m")]) == ["lost"]
    record = await drive.ledger.record("c1")
    assert record is not None
    assert await drive.ledger.renew([("c1", record.epoch, "x", "ollama", "m")]) == ["ok"]
    assert await drive.later(10_100) == [("c1", "lease")]


async def test_a_plain_call_that_ended_is_replayed_until_celery_was_told(redis: Redis) -> None:
    drive = await Drive(redis).ticking()
    run = await drive.begin(adopt=drive.adoption())
    assert (await drive.finish(run)).word == "accepted"
    assert (await drive.begin(adopt=drive.adoption())).word == "replay"
    assert await drive.later(10_500) == [("c1", "tell")]
    record = await drive.ledger.record("c1")
    assert record is not None
    again = await drive.ledger.retell(Due("c1", record.epoch, record.turn, "tell"))
    assert (again.word, again.text("canvas")) == ("publish", '{"ignore_result":false}')
    assert (await drive.begin(sent=again.number("sent"))).word == "replay"
    assert await drive.ledger.told("c1") == "told"
    assert (await drive.begin(adopt=drive.adoption())).word == "drop"
    assert await drive.later(60_000) == []


async def test_a_key_opened_again_while_open_joins_when_done_answers_when_failed_runs_anew(redis: Redis) -> None:
    drive = await Drive(redis).ticking()
    sent = (await drive.open()).number("sent")
    assert (await drive.open(inbox="two")).word == "attached"
    assert (await drive.open(rhash="other")).word == "conflict"
    zombie = await drive.begin(sent=sent)
    await drive.ledger.finish("c1", epoch=zombie.number("epoch"), token="f", st="F", reason="no_provider", outcome="{}")
    anew = await drive.open()
    assert anew.word == "publish"
    assert (await drive.finish(zombie)).word == "refused"  # of the failed life
    run = await drive.begin(sent=anew.number("sent"))
    assert (await drive.finish(run)).word == "accepted"
    assert (await drive.open()).word == "done"
