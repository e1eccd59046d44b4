"""What waits: which messages count as lost, and that nothing is left of calls that are gone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.support.ledger import Drive

if TYPE_CHECKING:
    from redis.asyncio import Redis


async def resend(drive: Drive, *, force: bool, depth: int = 3) -> str:
    """What a reconciler is told that wants to send the message of `c1` again."""
    record = await drive.ledger.record("c1")
    assert record is not None
    reply = await drive.ledger.hop(
        "c1",
        epoch=record.epoch,
        turn=record.turn,
        token=drive.token(),
        by="reconciler",
        to="ollama",
        queue="ollama",
        resend=True,
        depth=depth,
        force=force,
    )
    return reply.word


async def test_a_long_backlog_of_our_own_messages_is_never_sent_again_regardless(redis: Redis) -> None:
    drive = await Drive(redis).ticking()
    before = (await drive.open("before", deadline_ms=3_600_000)).number("sent")
    drive.shift = 10
    await drive.open(deadline_ms=3_600_000)
    drive.shift = 70_000
    await drive.begin("before", sent=before)
    assert await resend(drive, force=True) == "waits"


async def test_messages_without_a_dispatch_time_that_are_taken_later_are_evidence_enough(redis: Redis) -> None:
    drive = await Drive(redis).ticking()
    await drive.open(deadline_ms=3_600_000)
    drive.shift = 70_000
    await drive.begin("plain", adopt=drive.adoption())
    assert await resend(drive, force=False) == "waits"
    assert await resend(drive, force=True) == "publish"
    record = await drive.ledger.record("c1")
    assert record is not None
    assert record.forced == 1


async def test_a_dispatch_time_from_the_future_is_no_evidence_against_others(redis: Redis) -> None:
    drive = await Drive(redis).ticking()
    await drive.open()
    assert (await drive.begin("nonsense", sent=10**17)).word == "drop"
    drive.shift = 6_000
    assert await resend(drive, force=False) == "waits"


async def test_what_waited_and_expired_while_no_worker_ran_leaves_no_row_behind(redis: Redis) -> None:
    drive = await Drive(redis).ticking()
    ids = [f"c{i}" for i in range(1_200)]
    for call_id in ids:
        await drive.open(call_id)
    await redis.delete(*(drive.keys.call(call_id) for call_id in ids))
    await drive.open("last")
    assert await drive.later(5_500) == [("last", "waiting")]
    assert await redis.zrange(drive.keys.waiting("ollama"), 0, -1) == ["last"]
    assert await redis.zrange(drive.keys.due(), 0, -1) == ["last"]
