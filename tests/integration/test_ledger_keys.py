"""Tasks of plain Celery callers that share one call by its key: who begins it, who hears its end, who gives it up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.support.ledger import Drive
from understudy.state.ledger import Due, Reply

if TYPE_CHECKING:
    from redis.asyncio import Redis

    from understudy.state.record import Record


async def driven(redis: Redis) -> Drive:
    return await Drive(redis).ticking()


async def first_message(drive: Drive, task: str, provider: str = "ollama", **adopted: Any) -> Reply:
    """A worker takes a task's own message, which carries the request."""
    return await drive.begin(provider=provider, task=task, adopt=drive.adoption(canvas=f'{{"of":"{task}"}}', **adopted))


async def telling(drive: Drive, task: str) -> Reply:
    """A worker takes a message that is to tell a task."""
    return await drive.begin(task=task, sent=await drive.now())


async def record(drive: Drive) -> Record:
    found = await drive.ledger.record("c1")
    assert found is not None
    return found


async def retold(drive: Drive) -> Reply:
    """A reconciler comes to the call."""
    known = await record(drive)
    return await drive.ledger.retell(Due("c1", known.epoch, known.turn, "tell"))


def tasks(reply: Reply) -> dict[str, str]:
    """Whom a reply has told, with their canvas."""
    flat = reply.texts("tasks")
    return dict(zip(flat[::2], flat[1::2], strict=True))


async def failed(drive: Drive, run: Reply) -> None:
    assert (await drive.finish(run, st="F", reason="no_provider", outcome="")).word == "accepted"


async def test_two_tasks_with_one_key_are_one_call_and_each_is_told_once(redis: Redis) -> None:
    drive = await driven(redis)
    run = await first_message(drive, "t1")
    joined = await first_message(drive, "t2")
    assert (run.word, joined.word, joined.text("why")) == ("run", "drop", "running")
    assert (await record(drive)).requests == 1
    assert (await first_message(drive, "t2")).word == "drop"  # delivered twice
    assert sorted((await drive.finish(run)).texts("waiters")) == ["t1", "t2"]
    assert await drive.ledger.told("t1") == "told"
    assert tasks(await drive.ledger.tell_others("c1", "t1")) == {"t2": '{"of":"t2"}'}
    assert (await telling(drive, "t2")).word == "replay"
    assert await drive.ledger.told("t2") == "told"
    for task in ("t1", "t2"):
        assert (await first_message(drive, task)).text("why") == "told"
        assert (await telling(drive, task)).text("why") == "told"
    assert await drive.later(60_000) == []


async def test_a_task_that_joins_a_call_that_is_done_is_answered_at_once_and_disturbs_no_other(redis: Redis) -> None:
    drive = await driven(redis)
    await drive.finish(await first_message(drive, "t1"))
    assert (await first_message(drive, "t2")).word == "replay"
    assert await drive.ledger.told("t2") == "told"
    assert (await record(drive)).waiters == {"t1"}
    assert await drive.later(10_500) == [("c1", "tell")]
    assert set(tasks(await retold(drive))) == {"t1"}
    assert await drive.ledger.told("t1") == "told"
    assert (await first_message(drive, "t3")).word == "replay"  # its worker dies with the answer
    assert await drive.later(10_500) == [("c1", "tell")]
    assert set(tasks(await retold(drive))) == {"t3"}


async def test_another_request_under_the_key_is_refused_and_changes_nothing(redis: Redis) -> None:
    drive = await driven(redis)
    run = await first_message(drive, "t1")
    assert (await first_message(drive, "t2", rhash="other")).word == "conflict"
    await drive.finish(run)
    assert (await first_message(drive, "t2", rhash="other")).word == "conflict"
    assert (await record(drive)).waiters == {"t1"}
    assert await drive.ledger.told("t2") == "missing"


async def test_after_a_failure_a_new_task_tries_anew_and_an_old_ones_message_does_not(redis: Redis) -> None:
    drive = await driven(redis)
    run = await first_message(drive, "t1")
    await failed(drive, run)
    await drive.ledger.told("t1")
    assert (await first_message(drive, "t1")).text("why") == "told"
    anew = await first_message(drive, "t2")
    assert anew.word == "run"
    assert anew.number("epoch") > run.number("epoch")
    assert anew.text("attempts") == ""
    assert (await drive.finish(run)).word == "refused"
    assert (await drive.finish(anew)).texts("waiters") == ("t2",)
    assert run.text("rid") in str(await redis.hget(drive.keys.call("c1"), "rids"))


async def test_who_has_not_heard_of_the_failure_gets_what_the_new_try_gives(redis: Redis) -> None:
    drive = await driven(redis)
    await failed(drive, await first_message(drive, "t1"))
    anew = await first_message(drive, "t2")
    assert (await telling(drive, "t1")).text("why") == "running"
    assert sorted((await drive.finish(anew)).texts("waiters")) == ["t1", "t2"]


async def test_a_task_and_a_client_share_a_call_whoever_comes_first(redis: Redis) -> None:
    drive = await driven(redis)
    opened = await drive.open()
    run = await first_message(drive, "t1")  # its message is a message of the call
    assert (run.word, (await drive.begin(sent=opened.number("sent"))).text("why")) == ("run", "running")
    assert (await drive.finish(run)).texts("waiters") == ("t1",)
    assert [kind for _, kind, _ in await drive.events()] == ["started", "done"]
    assert (await drive.open()).word == "done"

    await redis.flushdb()
    await drive.ticking()
    run = await first_message(drive, "t1")
    assert (await drive.open()).word == "attached"
    assert (await drive.open(rhash="other")).word == "conflict"
    await failed(drive, run)
    assert (await drive.open()).word == "publish"
    assert (await record(drive)).waiters == {"t1"}


async def test_a_call_that_moves_on_is_published_for_itself_and_its_tasks_wait(redis: Redis) -> None:
    drive = await driven(redis)
    moved = await drive.fail_over(await first_message(drive, "t1"))
    assert (moved.word, moved.text("canvas"), moved.texts("tasks")) == ("publish", "", ())
    assert (await first_message(drive, "t2")).text("why") == "elsewhere"
    run = await drive.begin(provider="openai", sent=moved.number("sent"))
    assert (run.word, run.text("plain")) == ("run", "0")
    assert sorted((await drive.finish(run)).texts("waiters")) == ["t1", "t2"]
    assert set(tasks(await drive.ledger.tell_others("c1", ""))) == {"t1", "t2"}


async def test_who_is_not_told_is_told_again_five_times(redis: Redis) -> None:
    drive = await driven(redis)
    run = await first_message(drive, "t1")
    await first_message(drive, "t2")
    await drive.finish(run)
    assert (await drive.ledger.tell_others("c1", "t1")).word == "publish"
    assert (await retold(drive)).word == "refused"  # by somebody else a moment ago
    waits = 20_000
    for _ in range(4):
        assert await drive.later(waits - 1_000) == []
        assert await drive.later(1_500) == [("c1", "tell")]
        assert set(tasks(await retold(drive))) == {"t1", "t2"}
        waits *= 2
    assert await drive.later(waits * 4) == []
    assert await redis.zscore(drive.keys.due(), "c1") is None


async def test_a_call_without_a_worker_at_its_end_has_its_tasks_told_in_the_next_round(redis: Redis) -> None:
    drive = await driven(redis)
    await drive.fail_over(await first_message(drive, "t1"))
    assert await drive.ledger.cancel("c1", operator=True) == "X"
    assert await drive.later(1) == [("c1", "tell")]
    assert set(tasks(await retold(drive))) == {"t1"}
    assert (await telling(drive, "t1")).word == "replay"


async def test_a_late_message_ends_the_call_and_the_others_are_told(redis: Redis) -> None:
    drive = await driven(redis)
    await drive.fail_over(await first_message(drive, "t1"))
    drive.shift += 30_001
    assert (await first_message(drive, "t2")).word == "replay"
    assert (await record(drive)).reason == "deadline"
    assert await drive.later(1) == [("c1", "tell")]


async def test_the_only_tasks_revoke_cancels_the_call(redis: Redis) -> None:
    drive = await driven(redis)
    await first_message(drive, "t1")
    assert (await drive.ledger.revoke("t1")).word == "X"
    assert (await drive.ledger.revoke("t1")).word == "X"  # in every worker
    assert (await telling(drive, "t1")).word == "revoked"
    assert await drive.ledger.told("t1") == "told"
    assert await drive.later(60_000) == []
    assert (await drive.ledger.revoke("unknown")).word == "missing"


async def test_a_revoke_leaves_the_call_to_the_others(redis: Redis) -> None:
    drive = await driven(redis)
    run = await first_message(drive, "t1")
    await first_message(drive, "t2")
    reply = await drive.ledger.revoke("t1")
    assert (reply.word, reply.text("id"), tasks(reply)) == ("publish", "c1", {"t1": '{"of":"t1"}'})
    assert (await drive.ledger.revoke("t1")).word == "R"  # in another worker
    assert (await telling(drive, "t1")).word == "revoked"
    assert await drive.ledger.told("t1") == "told"
    assert (await drive.finish(run)).texts("waiters") == ("t2",)


async def test_a_revoked_task_whose_message_was_lost_is_told_at_the_end(redis: Redis) -> None:
    drive = await driven(redis)
    run = await first_message(drive, "t1")
    await first_message(drive, "t2")
    await drive.ledger.revoke("t1")
    await drive.finish(run)
    assert set(tasks(await retold(drive))) == {"t1", "t2"}
    await drive.ledger.told("t2")
    assert await redis.zscore(drive.keys.due(), "c1") is not None
    await drive.ledger.told("t1")
    assert await redis.zscore(drive.keys.due(), "c1") is None


async def test_a_call_ends_when_its_last_task_or_client_gives_it_up(redis: Redis) -> None:
    drive = await driven(redis)
    await drive.open()
    await first_message(drive, "t1")
    assert (await drive.ledger.revoke("t1")).word == "publish"
    assert await drive.ledger.cancel("c1", inbox="box") == "X"

    await redis.flushdb()
    await drive.ticking()
    await drive.open()
    await first_message(drive, "t1")
    assert await drive.ledger.cancel("c1", inbox="box") == "R"
    assert (await drive.ledger.revoke("t1")).word == "X"


async def test_the_names_of_tasks_live_as_long_as_their_call(redis: Redis) -> None:
    drive = await driven(redis)
    await first_message(drive, "t1")
    assert await redis.get(drive.keys.task("t1")) == "c1"
    day = 86_400_000
    for key in (drive.keys.task("t1"), drive.keys.call("c1")):
        assert day < await redis.pttl(key) <= day + 30_000
