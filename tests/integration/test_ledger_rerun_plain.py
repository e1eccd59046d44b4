"""Running a plain Celery caller's call again: Celery is told anew, and not before it was told of the failure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.support.ledger import Drive
from tests.support.operating import operating, record_of
from tests.support.reconciling import Reconciling
from understudy.contracts.call import Attempt
from understudy.state.ledger import Due

if TYPE_CHECKING:
    from redis.asyncio import Redis

    from understudy.state.ledger import Reply

BY: dict[str, Any] = {"who": "ann", "why": "the provider is back"}


async def failed(drive: Drive, **more: Any) -> None:
    """A plain call that failed, and Celery has not heard of it."""
    run = await drive.begin(adopt=drive.adoption(), **more)
    attempt = Attempt(provider="ollama", what="reset")
    await drive.finish(run, st="F", reason="no_provider", outcome="", attempt=attempt)


async def sent_again(drive: Drive) -> tuple[Reply, list[str]]:
    """A reconciler sends the call and a worker begins it; with the canvas of each message."""
    parts = Reconciling(drive)
    parts.workers = {"ollama": 4}
    await parts.tick()
    sent = parts.published[0].sent if parts.published else (await record_of(drive)).sent
    return await drive.begin(sent=sent), [message.canvas for message in parts.published]


async def retold(drive: Drive) -> Reply:
    """A reconciler has Celery told."""
    known = await record_of(drive)
    return await drive.ledger.retell(Due("c1", known.epoch, known.turn, "tell"))


async def test_a_call_keeps_its_canvas_and_is_told_anew(redis: Redis) -> None:
    drive = await Drive(redis).ticking()
    await failed(drive)
    await drive.ledger.told("c1")
    assert await operating(drive).rerun("c1", **BY)
    run, canvas = await sent_again(drive)
    assert (run.word, run.text("plain"), canvas) == ("run", "1", ['{"ignore_result":false}'])
    await drive.finish(run)
    assert await drive.later(10_500) == [("c1", "tell")]
    assert await drive.ledger.told("c1") == "told"
    assert await drive.later(60_000) == []


async def test_a_call_waits_until_celery_has_heard_of_the_failure(redis: Redis) -> None:
    drive = await Drive(redis).ticking()
    await failed(drive)
    assert not await operating(drive).rerun("c1", **BY)
    assert await drive.state() == "F"
    assert await operating(drive).ended.ids("no_provider") == ["c1"]
    await drive.ledger.told("c1")
    assert await operating(drive).rerun("c1", **BY)


async def test_a_call_that_nobody_could_tell_of_runs_again_all_the_same(redis: Redis) -> None:
    drive = await Drive(redis).ticking()
    await failed(drive)
    for _ in range(5):
        drive.shift += 1_000_000
        await drive.due_again()
        assert (await retold(drive)).word == "publish"
    await drive.later(1_000_000)
    assert await operating(drive).rerun("c1", **BY)


async def test_a_message_that_is_to_tell_is_used_for_the_new_run(redis: Redis) -> None:
    drive = await Drive(redis).ticking()
    await failed(drive)
    drive.shift += 10_500
    await drive.due_again()
    assert (await retold(drive)).word == "publish"
    await drive.ledger.told("c1")  # by the worker that was slow to
    assert await operating(drive).rerun("c1", **BY)
    run, published = await sent_again(drive)
    assert (run.word, published) == ("run", [])


async def test_a_task_that_celery_revoked_is_not_run_again(redis: Redis) -> None:
    drive = await Drive(redis).ticking()
    await drive.begin(adopt=drive.adoption())
    await drive.ledger.revoke("c1")
    await drive.ledger.told("c1")
    assert not await operating(drive).rerun("c1", **BY)
    assert await drive.state() == "X"


async def test_a_call_that_tasks_share_runs_again_and_the_next_task_gets_its_answer(redis: Redis) -> None:
    drive = await Drive(redis).ticking()
    await failed(drive, task="t1")
    assert not await operating(drive).rerun("c1", **BY)
    await drive.ledger.told("t1")
    assert await operating(drive).rerun("c1", **BY)
    run, _ = await sent_again(drive)
    joined = await drive.begin(task="t2", adopt=drive.adoption())
    assert (run.word, joined.text("why")) == ("run", "running")
    assert (await drive.finish(run)).texts("waiters") == ("t2",)
    assert (await drive.begin(task="t3", adopt=drive.adoption())).word == "replay"
