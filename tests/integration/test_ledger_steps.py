"""What the tools of a call have done is kept in its record, once, by its owner alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.health import NOW, TWO, seen
from tests.support.ledger import Drive
from understudy.moves import End, To, next_move
from understudy.state import transcript
from understudy.state.transcript import step

if TYPE_CHECKING:
    from redis.asyncio import Redis

    from understudy.state.ledger import Reply


@pytest.fixture
async def drive(redis: Redis) -> Drive:
    return await Drive(redis).ticking()


async def begun(drive: Drive) -> Reply:
    return await drive.begin(sent=(await drive.open()).number("sent"))


async def test_the_next_attempt_is_given_what_was_kept(drive: Drive) -> None:
    run = await begun(drive)
    assert run.texts("steps") == ()
    epoch = run.number("epoch")
    assert (await step(drive.ledger, "c1", epoch=epoch, n=1, rows=["turn", "start"], turn=True)).word == "stored"
    assert (await step(drive.ledger, "c1", epoch=epoch, n=3, rows=["end"])).word == "stored"
    moved = await drive.fail_over(run)
    second = await drive.begin(provider="openai", sent=moved.number("sent"))
    assert second.texts("steps") == ("turn", "start", "end")
    record = await drive.ledger.record("c1")
    assert record is not None
    assert (record.steps, record.turn_base) == (("turn", "start", "end"), 1)


async def test_a_repeat_after_a_lost_reply_is_stored_once(drive: Drive) -> None:
    epoch = (await begun(drive)).number("epoch")
    for _ in range(2):
        assert (await step(drive.ledger, "c1", epoch=epoch, n=1, rows=["a", "b"])).word == "stored"
    assert (await step(drive.ledger, "c1", epoch=epoch, n=2, rows=["b", "c"])).word == "stored"
    assert (await step(drive.ledger, "c1", epoch=epoch, n=2, rows=["other"])).word == "lost"
    record = await drive.ledger.record("c1")
    assert record is not None
    assert record.steps == ("a", "b", "c")


async def test_rows_that_redis_lost_are_asked_for(drive: Drive) -> None:
    epoch = (await begun(drive)).number("epoch")
    gap = await step(drive.ledger, "c1", epoch=epoch, n=3, rows=["c"])
    assert (gap.word, gap.number("have")) == ("gap", 0)


async def test_one_whose_call_went_on_keeps_nothing(drive: Drive) -> None:
    run = await begun(drive)
    epoch = run.number("epoch")
    assert (await step(drive.ledger, "c1", epoch=epoch - 1, n=1, rows=["a"])).word == "lost"
    assert (await step(drive.ledger, "nobody", epoch=epoch, n=1, rows=["a"])).word == "lost"
    await drive.fail_over(run)
    assert (await step(drive.ledger, "c1", epoch=epoch, n=1, rows=["a"])).word == "lost"


async def test_what_is_kept_has_a_bound(drive: Drive, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transcript, "MAX_BYTES", 10)
    epoch = (await begun(drive)).number("epoch")
    assert (await step(drive.ledger, "c1", epoch=epoch, n=1, rows=["12345678"])).word == "stored"
    assert (await step(drive.ledger, "c1", epoch=epoch, n=2, rows=["123"])).word == "full"
    assert (await step(drive.ledger, "c1", epoch=epoch, n=2, rows=["12"])).word == "stored"


async def test_a_call_that_is_opened_anew_knows_nothing_of_it(drive: Drive) -> None:
    run = await begun(drive)
    await step(drive.ledger, "c1", epoch=run.number("epoch"), n=1, rows=["a"], turn=True)
    await drive.finish(run, st="F", outcome="", reason="bug")
    again = await begun(drive)
    assert again.texts("steps") == ()
    assert (await step(drive.ledger, "c1", epoch=again.number("epoch"), n=1, rows=["b"])).word == "stored"


async def test_requests_are_capped_by_model_turn(drive: Drive) -> None:
    run = await begun(drive)
    epoch, token = run.number("epoch"), "t"
    await drive.redis.hset(drive.keys.call("c1"), "token", token)

    async def again(rid: str) -> Reply:
        given = {"provider": "ollama", "model": "m", "queue": "ollama", "max_requests": 2}
        return await drive.ledger.again("c1", epoch=epoch, token=token, rid=rid, **given)  # type: ignore[arg-type]

    second = await again(run.text("rid"))
    assert (await again(second.text("rid"))).text("why") == "requests"
    record = await drive.ledger.record("c1")
    assert record is not None
    assert isinstance(next_move(record, TWO, seen(), max_requests=2), End)
    await step(drive.ledger, "c1", epoch=epoch, n=1, rows=["turn"], turn=True)
    third = await again(second.text("rid"))
    assert (await again(third.text("rid"))).word == "run"
    record = await drive.ledger.record("c1")
    assert record is not None
    assert (record.requests, record.turn_base) == (4, 2)


async def test_a_call_may_move_on_after_many_model_turns(drive: Drive) -> None:
    await begun(drive)
    await drive.redis.hset(drive.keys.call("c1"), mapping={"requests": 20, "turn_base": 15, "deadline": NOW + 30_000})
    record = await drive.ledger.record("c1")
    assert record is not None
    assert isinstance(next_move(record, TWO, seen(), failed_at="ollama"), To)
