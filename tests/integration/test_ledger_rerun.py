"""Running a call again that failed or was cancelled: what it keeps, what begins anew, and when it is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.support.ledger import Drive
from tests.support.money import begun as begun_paid
from tests.support.money import charged, opened, report
from tests.support.operating import operating, record_of
from tests.support.reconciling import Reconciling
from understudy.contracts.call import Attempt
from understudy.state.record import DONE, FAILED, PARKED, QUEUED

if TYPE_CHECKING:
    from redis.asyncio import Redis

    from understudy.state.ledger import Reply

BY: dict[str, Any] = {"who": "ann", "why": "the provider is back"}
DAY_MS = 86_400_000


async def begun(drive: Drive, call_id: str = "c1", **more: Any) -> Reply:
    """A call that a worker has begun."""
    return await drive.begin(call_id, sent=(await drive.open(call_id, **more)).number("sent"))


async def fail(drive: Drive, run: Reply, call_id: str = "c1", reason: str = "no_provider") -> None:
    """Its holder ends it."""
    attempt = Attempt(provider="ollama", what="no_tools")
    reply = await drive.finish(run, call_id, st="F", reason=reason, outcome="", attempt=attempt)
    assert reply.word == "accepted"


async def failed(drive: Drive, call_id: str = "c1", **more: Any) -> Reply:
    """A call that failed."""
    run = await begun(drive, call_id, **more)
    await fail(drive, run, call_id)
    return run


async def sent_again(drive: Drive, parts: Reconciling, call_id: str = "c1") -> int:
    """A reconciler sends the call; returns its dispatch time."""
    parts.workers = {"ollama": 4}
    await parts.tick()
    (message,) = [m for m in parts.published if m.call_id == call_id]
    assert message.queue == "ollama"
    return message.sent


async def test_a_failed_call_is_sent_by_a_reconciler_and_ends_done(redis: Redis) -> None:
    drive = await Drive(redis).ticking()
    first = await failed(drive)
    assert await operating(drive).rerun("c1", **BY)
    record = await record_of(drive)
    assert (record.state, record.provider, record.runs) == (PARKED, "", 1)
    sent = await sent_again(drive, Reconciling(drive))
    assert await drive.state() == QUEUED
    run = await drive.begin(sent=sent)
    assert run.word == "run"
    assert run.number("epoch") > first.number("epoch")
    assert run.text("rid") != first.text("rid")
    assert (await drive.finish(first)).word == "refused"
    assert (await drive.finish(run)).word == "accepted"
    assert await drive.state() == DONE


async def test_whoever_listens_hears_of_the_new_run(redis: Redis) -> None:
    drive = await Drive(redis).ticking()
    await failed(drive)
    await operating(drive).rerun("c1", **BY)
    await drive.finish(await drive.begin(sent=await sent_again(drive, Reconciling(drive))))
    assert [kind for _, kind, _ in await drive.events()] == ["started", "failed", "started", "done"]


async def test_what_narrowed_the_failed_run_is_kept_aside(redis: Redis) -> None:
    drive = await Drive(redis).ticking()
    run = await begun(drive)
    moved = await drive.fail_over(run, not_before={"ollama": 20_000}, left="ollama")
    await fail(drive, await drive.begin(provider="openai", sent=moved.number("sent")))
    await operating(drive).rerun("c1", **BY)
    record = await record_of(drive)
    assert [attempt.what for attempt in record.earlier] == ["refused", "no_tools"]
    assert (record.attempts, record.tried, record.left, record.not_before) == ((), frozenset(), frozenset(), {})
    assert (record.crashes, record.rounds, record.looks, record.forced) == (0, 0, 0, 0)
    assert (record.ended, record.first, record.begun, record.reason, record.outcome, record.short) == (
        0,
        0,
        0,
        "",
        "",
        "",
    )
    assert record.requests - record.turn_base == 0


async def test_the_attempts_of_many_runs_are_kept_up_to_a_bound(redis: Redis) -> None:
    drive = await Drive(redis).ticking()
    parts = Reconciling(drive)
    run = await begun(drive)
    for i in range(40):
        attempt = Attempt(provider="ollama", what="reset", detail=f"run {i}")
        await drive.finish(run, st="F", reason="no_provider", outcome="", attempt=attempt)
        await operating(drive).rerun("c1", **BY)
        run = await drive.begin(sent=await sent_again(drive, parts))
        parts.published.clear()
    earlier = (await record_of(drive)).earlier
    assert (len(earlier), earlier[-1].detail) == (32, "run 39")


async def test_the_new_run_has_the_time_of_its_kind_or_what_its_caller_gave(redis: Redis) -> None:
    drive = await Drive(redis).ticking()
    for call_id, given, expected in (("short", 2_000, 30_000), ("long", 3_600_000, 3_600_000)):
        await failed(drive, call_id, deadline_ms=given)
        drive.shift += 7_200_000
        await operating(drive).rerun(call_id, **BY)
        record = await record_of(drive, call_id)
        assert record.deadline - record.created == expected
        assert abs(record.created - await drive.now()) < 5_000
        ttl = await redis.pttl(drive.keys.call(call_id))
        assert DAY_MS < ttl <= DAY_MS + expected


async def test_a_quarantined_call_runs_again_with_all_its_lives(redis: Redis) -> None:
    drive = await Drive(redis).ticking()
    sent = (await drive.open(deadline_ms=600_000)).number("sent")
    for _ in range(3):
        await drive.begin(sent=sent)
        drive.shift += 10_001
        await drive.due_again()
    await drive.begin(sent=sent)
    assert (await record_of(drive)).reason == "quarantined"
    assert await operating(drive).rerun("c1", **BY)
    assert await operating(drive).ended.causes() == []
    run = await drive.begin(sent=await sent_again(drive, Reconciling(drive)))
    assert run.word == "run"
    drive.shift += 10_001
    await drive.due_again()
    again = await drive.begin()
    assert (again.word, (await record_of(drive)).crashes) == ("run", 1)


async def test_a_cancelled_call_runs_again(redis: Redis) -> None:
    drive = await Drive(redis).ticking()
    run = await begun(drive)
    operations = operating(drive)
    assert await operations.cancel("c1", **BY) == "X"
    assert await operations.rerun("c1", **BY)
    assert (await drive.finish(run)).word == "refused"
    assert (await drive.begin(sent=await sent_again(drive, Reconciling(drive)))).word == "run"


@pytest.mark.parametrize("state", ["Q", "R", "P", "D", "-"])
async def test_a_call_that_waits_runs_is_done_or_unknown_is_left_alone(redis: Redis, state: str) -> None:
    drive = await Drive(redis).ticking()
    if state != "-":
        sent = (await drive.open()).number("sent")
    if state in "RD":
        run = await drive.begin(sent=sent)
    if state == "D":
        await drive.finish(run)
    if state == "P":
        await redis.set(drive.keys.paused("ollama"), "429", px=60_000)
        await drive.begin(sent=sent)
    before = await redis.hgetall(drive.keys.call("c1"))
    assert not await operating(drive).rerun("c1", **BY)
    assert await redis.hgetall(drive.keys.call("c1")) == before
    assert await drive.state() == state
    assert await operating(drive).audit.entries() == []


async def test_a_repeated_command_runs_the_call_once_and_is_noted_once(redis: Redis) -> None:
    drive = await Drive(redis).ticking()
    await failed(drive)
    operations = operating(drive)
    args: dict[str, Any] = {
        "id": "c1",
        "token": "t",
        "lengths": {},
        "audit": {"who": "ann", "what": "retry c1", "why": "it is back", "token": "t"},
    }
    first = await operations.lua("rerun", **args)
    sent = await sent_again(drive, Reconciling(drive))
    before = await redis.hgetall(drive.keys.call("c1"))
    assert await operations.lua("rerun", **args) == first == ["rerun"]
    assert await redis.hgetall(drive.keys.call("c1")) == before
    assert len(await operations.audit.entries()) == 1
    # nor when the new run has failed by the time the command is repeated
    await fail(drive, await drive.begin(sent=sent))
    assert await operations.lua("rerun", **args) == first
    assert await drive.state() == FAILED


async def test_of_two_operators_one_runs_the_call(redis: Redis) -> None:
    drive = await Drive(redis).ticking()
    await failed(drive)
    operations = operating(drive)
    assert [await operations.rerun("c1", **BY) for _ in range(2)] == [True, False]
    assert len(await operations.audit.entries()) == 1


async def test_a_message_of_the_failed_run_does_not_begin_the_new_one(redis: Redis) -> None:
    drive = await Drive(redis).ticking()
    old = (await drive.open()).number("sent")
    await drive.ledger.cancel("c1", operator=True)
    await operating(drive).rerun("c1", **BY)
    assert (await drive.begin(sent=old)).word == "drop"


async def test_a_message_that_still_waits_is_used_for_the_new_run(redis: Redis) -> None:
    drive = await Drive(redis).ticking()
    old = (await drive.open()).number("sent")
    await drive.ledger.cancel("c1", operator=True)
    await operating(drive).rerun("c1", **BY)
    parts = Reconciling(drive)
    parts.workers = {"ollama": 4}
    await parts.tick()
    assert (parts.published, await drive.state()) == ([], QUEUED)
    assert (await drive.begin(sent=old)).word == "run"


async def test_charges_stay_and_the_call_limit_counts_them(redis: Redis) -> None:
    drive = await Drive(redis).ticking()
    run = await begun_paid(drive, sent=(await opened(drive, opts='{"max_cost_microusd":400}')).number("sent"))
    lost = report(drive, run, 250, verdict="hard", why="cut")
    await drive.finish(run, st="F", reason="no_provider", outcome="", report=lost)
    await operating(drive).rerun("c1", **BY)
    assert (sum((await record_of(drive)).charges.values()), await charged(drive)) == (250, 250)
    await drive.ledger.hop("c1", to="openai", queue="openai", token="t", by="reconciler", **await fence(drive))
    denied = await begun_paid(drive)
    assert (denied.word, denied.text("short")) == ("denied", "call")


async def fence(drive: Drive) -> dict[str, Any]:
    """What a reconciler quotes."""
    record = await record_of(drive)
    return {"epoch": record.epoch, "turn": record.turn}


async def test_what_tools_did_is_known_to_the_new_run(redis: Redis) -> None:
    drive = await Drive(redis).ticking()
    run = await begun(drive)
    await drive.ledger.lua("step", id="c1", epoch=run.number("epoch"), n=1, rows=["asked"], turn=True, max_bytes=1_000)
    await fail(drive, run)
    await operating(drive).rerun("c1", **BY)
    again = await drive.begin(sent=await sent_again(drive, Reconciling(drive)))
    assert again.texts("steps") == ("asked",)


async def test_a_client_that_opens_the_same_call_meanwhile_shares_the_run(redis: Redis) -> None:
    drive = await Drive(redis).ticking()
    await failed(drive)
    await operating(drive).rerun("c1", **BY)
    assert (await drive.open(inbox="later")).word == "attached"
    await drive.finish(await drive.begin(sent=await sent_again(drive, Reconciling(drive))))
    assert [kind for _, kind, _ in await drive.events("later")] == ["started", "done"]


async def test_a_batch_row_goes_to_the_batch_queue_again(redis: Redis) -> None:
    drive = await Drive(redis).ticking()
    sent = (await drive.open(queue="ollama.batch", opts='{"job":"j1"}')).number("sent")
    await fail(drive, await drive.begin(queue="ollama.batch", sent=sent))
    await operating(drive).rerun("c1", **BY)
    parts = Reconciling(drive)
    parts.workers = {"ollama.batch": 4}
    await parts.tick()
    assert parts.sent_to("ollama.batch") == ["c1"]
