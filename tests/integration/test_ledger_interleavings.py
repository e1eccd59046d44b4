"""The interleavings that the protocol names, driven in that order against a real Redis."""

from __future__ import annotations

import asyncio

from redis.asyncio import Redis

from tests.support.ledger import Drive
from understudy.contracts.call import Attempt

QUEUES = ["ollama", "openai"]


async def drive_of(redis: Redis) -> Drive:
    drive = Drive(redis)
    await drive.ledger.due("first", QUEUES)  # a tick has been: no quiet period
    return drive


async def later(drive: Drive, ms: int) -> list[tuple[str, str]]:
    """Time passes, ticks included; what is due then."""
    end = drive.shift + ms
    while drive.shift < end:
        drive.shift = min(end, drive.shift + 2_500)
        await drive.redis.delete(drive.keys.tick() + ":lock")
        await drive.redis.hset(drive.keys.tick(), "last", (await now(drive)) - 1)
    word, rows = await drive.ledger.due("first", QUEUES)
    assert word == "rows"
    return [(row.id, row.why) for row in rows]


async def now(drive: Drive) -> int:
    seconds, micros = await drive.redis.time()
    return int(seconds) * 1000 + int(micros) // 1000 + drive.shift


async def test_a_call_whose_client_died_before_publishing_is_due_and_published(redis: Redis) -> None:
    drive = await drive_of(redis)
    opened = await drive.open()
    assert opened.word == "publish"
    assert await later(drive, 5_500) == [("c1", "waiting")]
    record = await drive.ledger.record("c1")
    assert record is not None
    sent = await drive.ledger.hop(
        "c1", epoch=record.epoch, turn=record.turn, token="r", by="reconciler", to="ollama", queue="ollama", resend=True,
        depth=0,
    )  # fmt: skip
    assert sent.word == "publish"
    assert sent.number("sent") > opened.number("sent")


async def test_a_message_is_sent_again_only_when_later_ones_were_taken_or_the_queue_is_empty(redis: Redis) -> None:
    drive = await drive_of(redis)
    opened = await drive.open()

    async def resend(depth: int) -> str:
        record = await drive.ledger.record("c1")
        assert record is not None
        got = await drive.ledger.hop(
            "c1", epoch=record.epoch, turn=record.turn, token=drive.token(), by="reconciler", to="ollama", queue="ollama",
            resend=True, depth=depth,
        )  # fmt: skip
        return got.word

    drive.shift = 4_000
    assert await resend(depth=0) == "waits"  # younger than the grace: whoever publishes may still be on its way
    drive.shift = 6_000
    assert await resend(depth=3) == "waits"
    await redis.set(drive.keys.mark("ollama"), opened.number("sent") + 5_001)
    assert await resend(depth=3) == "publish"


async def test_hundreds_of_waiting_calls_are_never_sent_twice_without_a_loss(redis: Redis) -> None:
    drive = await drive_of(redis)
    for i in range(300):
        await drive.open(f"c{i}", deadline_ms=3_600_000)
    for _ in range(20):
        for call_id, why in await later(drive, 30_000):
            assert why == "waiting"
            record = await drive.ledger.record(call_id)
            assert record is not None
            got = await drive.ledger.hop(
                call_id, epoch=record.epoch, turn=record.turn, token=drive.token(), by="reconciler", to="ollama",
                queue="ollama", resend=True, depth=300,
            )  # fmt: skip
            assert got.word == "waits"


async def test_a_call_that_moved_away_and_back_has_one_message_in_the_first_queue(redis: Redis) -> None:
    drive = await drive_of(redis)
    opened = await drive.open()
    record = await drive.ledger.record("c1")
    assert record is not None
    away = await drive.ledger.hop(
        "c1", epoch=record.epoch, turn=record.turn, token="r1", by="reconciler", to="openai", queue="openai", left="ollama"
    )
    assert away.word == "publish"
    await redis.set(drive.keys.paused("openai"), "429", px=60_000)
    denied = await drive.begin(provider="openai", sent=away.number("sent"))
    assert denied.word == "denied"
    back = await drive.ledger.hop(
        "c1", epoch=denied.number("epoch"), turn=denied.number("turn"), token="w", to="ollama", queue="ollama"
    )
    assert back.word == "waits"
    assert (await drive.begin(sent=opened.number("sent"))).word == "run"


async def test_an_hour_old_message_of_an_ended_moved_or_parked_call_is_dropped(redis: Redis) -> None:
    drive = await drive_of(redis)
    sent = (await drive.open()).number("sent")
    run = await drive.begin(sent=sent)
    moved = await drive.fail_over(run)
    drive.shift = 10
    assert (await drive.begin(sent=sent)).values["why"] == "elsewhere"
    await redis.set(drive.keys.paused("openai"), "429", px=60_000)
    await drive.begin(provider="openai", sent=moved.number("sent"))
    assert (await drive.begin(provider="openai", sent=sent)).values["why"] == "parked"
    drive.shift = 3_600_000
    assert (await drive.begin(provider="openai", sent=sent)).word == "drop"
    assert await drive.state() == "F"


async def test_a_duplicate_while_running_and_after_a_move_is_dropped(redis: Redis) -> None:
    drive = await drive_of(redis)
    sent = (await drive.open()).number("sent")
    run = await drive.begin(sent=sent)
    assert (await drive.begin(sent=sent)).values["why"] == "running"
    await drive.fail_over(run)
    assert (await drive.begin(sent=sent)).values["why"] == "elsewhere"


async def test_a_reconciler_that_read_an_expired_lease_is_refused_after_a_redelivered_message_began(redis: Redis) -> None:
    drive = await drive_of(redis)
    sent = (await drive.open()).number("sent")
    run = await drive.begin(sent=sent)
    assert await later(drive, 10_500) == [("c1", "lease")]
    again = await drive.begin(sent=sent)
    assert again.word == "run"
    refused = await drive.ledger.hop(
        "c1", epoch=run.number("epoch"), turn=run.number("turn"), token="r", by="reconciler", to="ollama", queue="ollama"
    )
    assert refused.word == "refused"
    record = await drive.ledger.record("c1")
    assert record is not None
    assert record.crashes == 1
    assert [a.what for a in record.attempts] == ["worker_lost"]


async def test_of_two_reconcilers_one_moves_the_call(redis: Redis) -> None:
    drive = await drive_of(redis)
    run = await drive.begin(sent=(await drive.open()).number("sent"))
    await later(drive, 10_500)
    got = await asyncio.gather(
        *(
            drive.ledger.hop(
                "c1", epoch=run.number("epoch"), turn=run.number("turn"), token=f"r{i}", by="reconciler", to="ollama",
                queue="ollama", attempt=Attempt(provider="ollama", what="worker_lost"),
            )
            for i in range(2)
        )
    )  # fmt: skip
    assert sorted(reply.word for reply in got) == ["publish", "refused"]
    # and killed before publishing: the call is due again, and its message is known to be missing
    assert await later(drive, 5_500) == [("c1", "waiting")]


async def test_a_paused_worker_that_nobody_followed_still_delivers(redis: Redis) -> None:
    drive = await drive_of(redis)
    run = await drive.begin(sent=(await drive.open()).number("sent"))
    await later(drive, 10_500)
    moved = await drive.ledger.hop(
        "c1", epoch=run.number("epoch"), turn=run.number("turn"), token="r", by="reconciler", to="openai", queue="openai"
    )
    assert moved.word == "publish"
    lease = ("c1", run.number("epoch"), run.text("rid"), "ollama", "m")
    assert await drive.ledger.renew([lease]) == ["moved"]
    assert (await drive.finish(run)).word == "accepted"
    assert (await drive.begin(provider="openai", sent=moved.number("sent"))).word == "drop"


async def test_a_paused_worker_that_somebody_followed_is_refused_and_still_reports(redis: Redis) -> None:
    drive = await drive_of(redis)
    sent = (await drive.open()).number("sent")
    run = await drive.begin(sent=sent)
    await later(drive, 10_500)
    second = await drive.begin(sent=sent)
    lease = ("c1", run.number("epoch"), run.text("rid"), "ollama", "m")
    assert await drive.ledger.renew([lease]) == ["lost"]
    assert (await drive.finish(run, report=drive.report(run))).word == "refused"
    assert (await drive.breaker())["ms:moderation"] == "100"
    assert (await drive.finish(second, n=2)).word == "accepted"
    assert [(kind, data) for _, kind, data in await drive.events()][-1][1]["result"] == {"n": 2}


async def test_cancel_and_finish_have_one_winner_in_either_order(redis: Redis) -> None:
    drive = await drive_of(redis)
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
    drive = await drive_of(redis)
    await drive.open()
    assert (await drive.open(inbox="other")).word == "attached"
    assert await drive.ledger.cancel("c1", inbox="box") == "Q"
    assert await drive.ledger.cancel("c1", inbox="other") == "X"


async def test_a_deadline_ends_the_call_while_queued_parked_and_running(redis: Redis) -> None:
    drive = await drive_of(redis)
    await drive.open("queued")
    sent = (await drive.open("running")).number("sent")
    await drive.begin("running", sent=sent)
    sent = (await drive.open("parked")).number("sent")
    run = await drive.begin("parked", sent=sent)
    hop = {"epoch": run.number("epoch"), "turn": run.number("turn"), "token": "p"}
    assert (await drive.ledger.hop("parked", until_ms=60_000, **hop)).word == "parked"
    for _ in range(11):  # its worker renews, up to the end
        drive.shift += 2_900
        await drive.redis.hset(drive.keys.tick(), "last", await now(drive))
        got = await drive.ledger.record("running")
        assert got is not None
        await drive.ledger.renew([("running", got.epoch, "x", "ollama", "m")])
    due = dict(await later(drive, 1_500))
    assert due == {"queued": "deadline", "parked": "deadline", "running": "deadline"}


async def test_a_call_past_its_deadline_does_not_begin(redis: Redis) -> None:
    drive = await drive_of(redis)
    sent = (await drive.open()).number("sent")
    drive.shift = 30_001
    assert (await drive.begin(sent=sent)).word == "drop"
    record = await drive.ledger.record("c1")
    assert record is not None
    assert (record.state, record.reason) == ("F", "deadline")


async def test_redis_that_lost_the_call_lets_its_client_open_it_again_and_refuses_the_old_epoch(redis: Redis) -> None:
    drive = await drive_of(redis)
    run = await drive.begin(sent=(await drive.open()).number("sent"))
    await redis.delete(drive.keys.call("c1"))
    assert (await drive.finish(run)).values["why"] == "missing"
    opened = await drive.open(deadline=await now(drive) + 20_000)
    assert opened.word == "publish"
    assert (await drive.begin(sent=opened.number("sent"))).number("epoch") > run.number("epoch")
    assert (await drive.finish(run)).values["why"] == "epoch"


async def test_after_an_outage_nothing_is_taken_over_for_ten_seconds(redis: Redis) -> None:
    drive = await drive_of(redis)
    await drive.begin(sent=(await drive.open()).number("sent"))
    drive.shift = 16_000
    assert (await drive.ledger.due("first", QUEUES))[0] == "quiet"
    await redis.hset(drive.keys.tick(), "last", await now(drive))
    assert await drive.ledger.renew([("c1", 0, "x", "ollama", "m")]) == ["lost"]
    record = await drive.ledger.record("c1")
    assert record is not None
    assert await drive.ledger.renew([("c1", record.epoch, "x", "ollama", "m")]) == ["ok"]
    assert await later(drive, 10_100) == [("c1", "lease")]


async def test_a_plain_call_that_ended_is_replayed_until_celery_was_told(redis: Redis) -> None:
    drive = await drive_of(redis)
    run = await drive.begin(adopt=drive.adoption())
    assert (await drive.finish(run)).word == "accepted"
    assert (await drive.begin(adopt=drive.adoption())).word == "replay"
    assert await later(drive, 10_500) == [("c1", "tell")]
    record = await drive.ledger.record("c1")
    assert record is not None
    _, (due,) = await _due_again(drive)
    again = await drive.ledger.retell(due)
    assert (again.word, again.text("canvas")) == ("publish", '{"ignore_result":false}')
    assert (await drive.begin(sent=again.number("sent"))).word == "replay"
    assert await drive.ledger.told("c1") == "told"
    assert (await drive.begin(adopt=drive.adoption())).word == "drop"
    assert await later(drive, 60_000) == []


async def _due_again(drive: Drive) -> tuple[str, list]:  # type: ignore[type-arg]
    drive.shift += 5_000
    await drive.redis.delete(drive.keys.tick() + ":lock")
    await drive.redis.hset(drive.keys.tick(), "last", await now(drive))
    return await drive.ledger.due("first", QUEUES)


async def test_a_key_opened_again_while_open_joins_when_done_answers_when_failed_runs_anew(redis: Redis) -> None:
    drive = await drive_of(redis)
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
