"""The reconciler over a real ledger: what it moves, what it leaves alone; one call never holds up the others."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from tests.support.ledger import Drive
from tests.support.reconciling import Reconciling
from understudy.state.record import FAILED, PARKED, QUEUED

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pytest
    from redis.asyncio import Redis

    from workers.ends import Publish

HOUR_MS = 3_600_000


async def states(drive: Drive, ids: Iterable[str]) -> Counter[str]:
    return Counter([await drive.state(call_id) for call_id in ids])


async def test_waiting_for_ten_minutes_without_a_loss_doubles_no_message(redis: Redis) -> None:
    drive = await Drive(redis).ticking()
    parts = Reconciling(drive)
    for i in range(100):
        await drive.open(f"c{i}", deadline_ms=HOUR_MS, opts='{"spend":"never"}')
    parts.depths = {"ollama": 100}
    parts.workers = {"ollama": 1}
    for _ in range(20):
        await parts.tick(30_000)
    assert parts.published == []


async def test_a_record_that_cannot_be_read_holds_up_no_other_and_ends_at_its_deadline(redis: Redis) -> None:
    drive = await Drive(redis).ticking()
    parts = Reconciling(drive)
    parts.workers = {"openai": 4}
    for i in range(3):
        await drive.open(f"good{i}")
    await drive.open("alien")
    await redis.hset(drive.keys.call("alien"), mapping={"v": "99", "opts": '{"unheard_of":1}'})
    await parts.tick(5_500)
    assert sorted(parts.sent_to("openai")) == ["good0", "good1", "good2"]
    await parts.tick(25_000)
    assert await drive.state("alien") == FAILED
    assert ("alien", "failed", "look") in await drive.events()


async def test_a_record_that_cannot_be_read_and_whose_worker_died_ends_at_its_deadline(redis: Redis) -> None:
    drive = await Drive(redis).ticking()
    parts = Reconciling(drive)
    await drive.begin(sent=(await drive.open()).number("sent"))
    await redis.hset(drive.keys.call("c1"), "attempts", "{not json")
    await parts.tick(10_500)
    assert await drive.state() == PARKED
    await parts.tick(20_500)
    assert await drive.state() == FAILED


async def test_a_bug_in_one_calls_decision_does_not_lose_the_messages_of_the_others(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    drive = await Drive(redis).ticking()
    parts = Reconciling(drive)
    parts.workers = {"openai": 4}
    for i in range(4):
        await drive.open(f"c{i}")
    decide = parts.reconciler._redispatch.move

    def broken(record, *args, **more):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN002, ANN003, ANN202
        if record.id == "c2":
            raise KeyError(record.id)
        return decide(record, *args, **more)

    monkeypatch.setattr(parts.reconciler._redispatch, "move", broken)
    await parts.tick(5_500)
    assert sorted(parts.sent_to("openai")) == ["c0", "c1", "c3"]


async def test_half_open_draws_as_many_of_the_parked_as_it_admits(redis: Redis) -> None:
    drive = await Drive(redis).ticking()
    parts = Reconciling(drive)
    ids = [f"c{i}" for i in range(100)]
    await redis.hset(drive.keys.breaker("ollama", "m"), mapping={"state": "open", "gen": "1", "until": "9" * 13})
    for call_id in ids:
        sent = (await drive.open(call_id, deadline_ms=HOUR_MS, opts='{"spend":"never"}')).number("sent")
        assert (await drive.begin(call_id, sent=sent)).word == "denied"
    await redis.hset(drive.keys.breaker("ollama", "m"), mapping={"state": "half_open", "succ": "0"})
    parts.workers = {"ollama": 4}
    await parts.tick(5_500)
    assert len(parts.sent_to("ollama")) == 1
    assert await states(drive, ids) == {QUEUED: 1, PARKED: 99}


async def test_of_a_backlog_that_nobody_works_off_in_time_the_fallback_gets_its_share_not_all(redis: Redis) -> None:
    drive = await Drive(redis).ticking()
    parts = Reconciling(drive)
    ids = [f"c{i}" for i in range(400)]
    for call_id in ids:
        await drive.open(call_id)
    for provider in ("ollama", "openai"):
        await redis.hset(drive.keys.breaker(provider, "m"), "ms:moderation", "2000")
    parts.workers = {"ollama": 4, "openai": 4}
    await parts.tick(5_500)
    assert 150 <= len(parts.sent_to("openai")) <= 250


async def test_a_thousand_parked_calls_do_not_all_come_back_at_once(redis: Redis) -> None:
    drive = await Drive(redis).ticking()
    parts = Reconciling(drive)
    await redis.hset(drive.keys.breaker("ollama", "m"), mapping={"state": "open", "gen": "1", "until": "9" * 13})
    async with redis.pipeline(transaction=False) as pipe:
        for i in range(1_500):
            pipe.hset(
                drive.keys.call(f"c{i}"),
                mapping={
                    "v": "1", "st": "P", "kind": "moderation", "request": "{}", "opts": '{"spend":"never"}',
                    "deadline": str(await drive.now() + HOUR_MS), "created": "1", "prov": "ollama", "queue": "ollama",
                    "epoch": "1", "turn": "1",
                },
            )  # fmt: skip
            pipe.zadd(drive.keys.due(), {f"c{i}": 1})
        await pipe.execute()
    parts.workers = {"ollama": 4}
    assert await parts.tick() >= 1_500
    again = [await redis.zscore(drive.keys.due(), f"c{i}") or 0.0 for i in range(1_500)]
    assert len(again) == 1_500
    assert max(again) - min(again) > 2_000


async def test_a_call_past_its_deadline_whose_worker_is_alive_is_not_said_to_have_lost_it(redis: Redis) -> None:
    drive = await Drive(redis).ticking()
    parts = Reconciling(drive)
    run = await drive.begin(sent=(await drive.open(deadline_ms=3_000)).number("sent"))
    await parts.tick(5_100)
    record = await drive.ledger.record("c1")
    assert record is not None
    assert [attempt.what for attempt in record.parsed_outcome().attempts] == ["caller_deadline"]
    assert (record.state, record.reason, record.crashes) == (FAILED, "deadline", 0)
    assert (await drive.finish(run)).word == "refused"


async def test_a_broker_that_hangs_does_not_stop_the_ticks(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    drive = await Drive(redis).ticking()
    parts = Reconciling(drive)
    parts.workers = {"openai": 4, "ollama": 4}
    monkeypatch.setattr("workers.reconciler.BROKER_S", 0.05)

    async def hangs(*_: object) -> int:
        import asyncio

        await asyncio.Event().wait()
        return 0

    monkeypatch.setattr(parts.reconciler, "_depth", hangs)
    monkeypatch.setattr(parts.reconciler, "_send", hangs)
    await drive.open("stays", deadline_ms=60_000)
    await drive.open("ends", deadline_ms=5_400)
    assert await parts.tick(5_500) == 2
    assert await drive.state("ends") == FAILED
    assert parts.published == []


async def test_a_deferring_call_behind_a_backlog_is_looked_at_when_it_is_to_pay(redis: Redis) -> None:
    drive = await Drive(redis).ticking()
    parts = Reconciling(drive)
    await drive.open(deadline_ms=15_000, opts='{"spend":"defer"}')
    await redis.hset(drive.keys.breaker("ollama", "m"), "ms:moderation", "20000")
    parts.workers = {"ollama": 1, "openai": 1}
    for _ in range(7):
        await parts.tick(2_000)
    assert parts.sent_to("openai") == ["c1"]
    (message,) = parts.published
    sent: Publish = message
    assert sent.queue == "openai"
