"""The interleavings that the protocol names, driven in that order against a real Redis."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from tests.support.ledger import Drive
from understudy.contracts.call import Attempt

if TYPE_CHECKING:
    from redis.asyncio import Redis


async def test_a_call_whose_client_died_before_publishing_is_due_and_published(redis: Redis) -> None:
    drive = await Drive(redis).ticking()
    opened = await drive.open()
    assert opened.word == "publish"
    assert await drive.later(5_500) == [("c1", "waiting")]
    record = await drive.ledger.record("c1")
    assert record is not None
    sent = await drive.ledger.hop(
        "c1",
        epoch=record.epoch,
        turn=record.turn,
        token="r",
        by="reconciler",
        to="ollama",
        queue="ollama",
        resend=True,
        depth=0,
    )
    assert sent.word == "publish"
    assert sent.number("sent") > opened.number("sent")


async def test_a_message_is_sent_again_only_when_later_ones_were_taken_or_the_queue_is_empty(redis: Redis) -> None:
    drive = await Drive(redis).ticking()
    opened = await drive.open()

    async def resend(depth: int) -> str:
        record = await drive.ledger.record("c1")
        assert record is not None
        got = await drive.ledger.hop(
            "c1",
            epoch=record.epoch,
            turn=record.turn,
            token=drive.token(),
            by="reconciler",
            to="ollama",
            queue="ollama",
            resend=True,
            depth=depth,
        )
        return got.word

    drive.shift = 4_000
    assert await resend(depth=0) == "waits"  # younger than the grace: whoever publishes may still be on its way
    drive.shift = 6_000
    assert await resend(depth=3) == "waits"
    await redis.set(drive.keys.mark("ollama"), opened.number("sent") + 5_001)
    assert await resend(depth=3) == "publish"


async def test_hundreds_of_waiting_calls_are_never_sent_twice_without_a_loss(redis: Redis) -> None:
    drive = await Drive(redis).ticking()
    for i in range(300):
        await drive.open(f"c{i}", deadline_ms=3_600_000)
    for _ in range(20):
        for call_id, why in await drive.later(30_000):
            assert why == "waiting"
            record = await drive.ledger.record(call_id)
            assert record is not None
            got = await drive.ledger.hop(
                call_id,
                epoch=record.epoch,
                turn=record.turn,
                token=drive.token(),
                by="reconciler",
                to="ollama",
                queue="ollama",
                resend=True,
                depth=300,
            )
            assert got.word == "waits"


async def test_a_call_that_moved_away_and_back_has_one_message_in_the_first_queue(redis: Redis) -> None:
    drive = await Drive(redis).ticking()
    opened = await drive.open()
    record = await drive.ledger.record("c1")
    assert record is not None
    away = await drive.ledger.hop(
        "c1",
        epoch=record.epoch,
        turn=record.turn,
        token="r1",
        by="reconciler",
        to="openai",
        queue="openai",
        left="ollama",
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
    drive = await Drive(redis).ticking()
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
    drive = await Drive(redis).ticking()
    sent = (await drive.open()).number("sent")
    run = await drive.begin(sent=sent)
    assert (await drive.begin(sent=sent)).values["why"] == "running"
    await drive.fail_over(run)
    assert (await drive.begin(sent=sent)).values["why"] == "elsewhere"


async def test_a_reconciler_is_refused_after_a_redelivered_message_began(redis: Redis) -> None:
    drive = await Drive(redis).ticking()
    sent = (await drive.open()).number("sent")
    run = await drive.begin(sent=sent)
    assert await drive.later(10_500) == [("c1", "lease")]
    again = await drive.begin(sent=sent)
    assert again.word == "run"
    refused = await drive.ledger.hop(
        "c1",
        epoch=run.number("epoch"),
        turn=run.number("turn"),
        token="r",
        by="reconciler",
        to="ollama",
        queue="ollama",
    )
    assert refused.word == "refused"
    record = await drive.ledger.record("c1")
    assert record is not None
    assert record.crashes == 1
    assert [a.what for a in record.attempts] == ["worker_lost"]


async def test_of_two_reconcilers_one_moves_the_call(redis: Redis) -> None:
    drive = await Drive(redis).ticking()
    run = await drive.begin(sent=(await drive.open()).number("sent"))
    await drive.later(10_500)
    got = await asyncio.gather(
        *(
            drive.ledger.hop(
                "c1",
                epoch=run.number("epoch"),
                turn=run.number("turn"),
                token=f"r{i}",
                by="reconciler",
                to="ollama",
                queue="ollama",
                attempt=Attempt(provider="ollama", what="worker_lost"),
            )
            for i in range(2)
        )
    )
    assert sorted(reply.word for reply in got) == ["publish", "refused"]
    # and killed before publishing: the call is due again, and its message is known to be missing
    assert await drive.later(5_500) == [("c1", "waiting")]


async def test_a_paused_worker_that_nobody_followed_still_delivers(redis: Redis) -> None:
    drive = await Drive(redis).ticking()
    run = await drive.begin(sent=(await drive.open()).number("sent"))
    await drive.later(10_500)
    moved = await drive.ledger.hop(
        "c1",
        epoch=run.number("epoch"),
        turn=run.number("turn"),
        token="r",
        by="reconciler",
        to="openai",
        queue="openai",
    )
    assert moved.word == "publish"
    lease = ("c1", run.number("epoch"), run.text("rid"), "ollama", "m")
    assert await drive.ledger.renew([lease]) == ["moved"]
    assert (await drive.finish(run)).word == "accepted"
    assert (await drive.begin(provider="openai", sent=moved.number("sent"))).word == "drop"


async def test_a_paused_worker_that_somebody_followed_is_refused_and_still_reports(redis: Redis) -> None:
    drive = await Drive(redis).ticking()
    sent = (await drive.open()).number("sent")
    run = await drive.begin(sent=sent)
    await drive.later(10_500)
    second = await drive.begin(sent=sent)
    lease = ("c1", run.number("epoch"), run.text("rid"), "ollama", "m")
    assert await drive.ledger.renew([lease]) == ["lost"]
    assert (await drive.finish(run, report=drive.report(run))).word == "refused"
    assert (await drive.breaker())["ms:moderation"] == "100"
    assert (await drive.finish(second, n=2)).word == "accepted"
    assert [(kind, data) for _, kind, data in await drive.events()][-1][1]["result"] == {"n": 2}
