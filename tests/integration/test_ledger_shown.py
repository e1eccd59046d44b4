"""What the scripts keep for operators: failed calls by cause, moves between providers, counts and times."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.support.health import OLLAMA, OPENAI
from tests.support.ledger import Drive
from understudy.contracts.call import Attempt
from understudy.state.ended import Cause, Ended
from understudy.state.fallbacks import Fallbacks
from understudy.state.keys import DAY_MS, STAT_MS
from understudy.state.stats import LAST_BUCKET, ProviderStats, Stats, bound_ms

if TYPE_CHECKING:
    from redis.asyncio import Redis

    from understudy.state.ledger import Reply

PROVIDERS = (OLLAMA, OPENAI)


async def begun(drive: Drive, call_id: str = "c1") -> Reply:
    """A call that a worker of `ollama` has begun."""
    return await drive.begin(call_id, sent=(await drive.open(call_id)).number("sent"))


async def failed(drive: Drive, call_id: str, reason: str = "no_provider") -> None:
    """A call that failed."""
    run = await begun(drive, call_id)
    await drive.finish(
        run, call_id, st="F", reason=reason, outcome="", attempt=Attempt(provider="ollama", what="reset")
    )


def ended_of(drive: Drive) -> Ended:
    """The lists of failed calls."""
    return Ended(drive.redis, drive.keys, drive.ledger)


async def stats(drive: Drive) -> dict[str, ProviderStats]:
    """The last quarter of an hour."""
    return await Stats(drive.redis, drive.keys).last_quarter(PROVIDERS)


async def test_failed_calls_are_listed_by_cause_newest_first(redis: Redis) -> None:
    drive = await Drive(redis).ticking()
    ended = ended_of(drive)
    for i in range(3):
        await failed(drive, f"a{i}")
        drive.shift += 10
    await failed(drive, "b", "rejected")
    causes = await ended.causes()
    assert [(cause.reason, cause.calls) for cause in causes] == [("no_provider", 3), ("rejected", 1)]
    assert isinstance(causes[0], Cause)
    calls = await ended.of("no_provider")
    assert [call.id for call in calls] == ["a2", "a1", "a0"]
    assert causes[0].latest_ms == calls[0].ended_ms
    assert (calls[0].kind, calls[0].reason, calls[0].provider, calls[0].attempts) == (
        "moderation",
        "no_provider",
        "ollama",
        1,
    )
    assert [call.id for call in await ended.of("no_provider", limit=2)] == ["a2", "a1"]
    assert [call.id for call in await ended.of("no_provider", before_ms=calls[1].ended_ms)] == ["a0"]
    assert await ended.ids("no_provider") == ["a2", "a1", "a0"]
    assert await ended.of("bug") == []


async def test_calls_that_are_done_or_given_up_are_on_no_list(redis: Redis) -> None:
    drive = await Drive(redis).ticking()
    await drive.finish(await begun(drive, "done"), "done")
    await begun(drive, "given up")
    await drive.ledger.cancel("given up", operator=True)
    assert await ended_of(drive).causes() == []


async def test_a_quarantined_call_is_listed(redis: Redis) -> None:
    drive = await Drive(redis).ticking()
    sent = (await drive.open(deadline_ms=600_000)).number("sent")
    for _ in range(3):
        await drive.begin(sent=sent)
        drive.shift += 10_001
        await drive.due_again()  # no quiet period
    assert (await drive.begin(sent=sent)).text("reason") == "quarantined"
    assert [call.id for call in await ended_of(drive).of("quarantined")] == ["c1"]


async def test_a_call_that_is_opened_anew_leaves_its_list(redis: Redis) -> None:
    drive = await Drive(redis).ticking()
    await failed(drive, "c1")
    assert (await drive.open()).word == "publish"
    assert await ended_of(drive).causes() == []


async def test_a_list_forgets_after_a_day(redis: Redis) -> None:
    drive = await Drive(redis).ticking()
    drive.shift = -DAY_MS - 1_000
    await failed(drive, "old")
    assert await ended_of(drive).causes() == []
    assert await ended_of(drive).ids("no_provider") == []
    drive.shift = 0
    await failed(drive, "new")
    assert await redis.zrange(drive.keys.ended("no_provider"), 0, -1) == ["new"]
    for key in (drive.keys.ended("no_provider"), drive.keys.causes()):
        assert DAY_MS - 60_000 < await redis.pttl(key) <= DAY_MS


async def test_a_list_holds_ten_thousand_calls_at_most(redis: Redis) -> None:
    drive = await Drive(redis).ticking()
    now = await drive.now()
    await redis.zadd(drive.keys.ended("no_provider"), {f"x{i}": now - 20_000 + i for i in range(10_000)})
    await failed(drive, "newest")
    ids = await ended_of(drive).ids("no_provider")
    assert (len(ids), ids[0], ids[-1]) == (10_000, "newest", "x1")


async def test_a_call_of_a_version_that_cannot_be_read_hides_no_other(redis: Redis) -> None:
    drive = await Drive(redis).ticking()
    await failed(drive, "good")
    await failed(drive, "alien")
    await redis.hset(drive.keys.call("alien"), "v", "99")
    assert [call.id for call in await ended_of(drive).of("no_provider")] == ["good"]


async def test_a_call_that_moves_on_is_noted_with_the_reason(redis: Redis) -> None:
    drive = await Drive(redis).ticking()
    run = await begun(drive)
    for _ in range(2):  # its reply was lost
        await drive.fail_over(run)
    (move,) = await Fallbacks(redis, drive.keys).recent()
    assert (move.call_id, move.kind, move.source, move.target, move.why) == (
        "c1",
        "moderation",
        "ollama",
        "openai",
        "refused",
    )
    assert abs(move.at_ms - await drive.now()) < 60_000


async def test_a_call_that_was_denied_or_waited_is_noted_with_why(redis: Redis) -> None:
    drive = await Drive(redis).ticking()
    moves = Fallbacks(redis, drive.keys)
    sent = (await drive.open("denied")).number("sent")
    await redis.set(drive.keys.paused("ollama"), "quota talks", px=60_000)
    denied = await drive.begin("denied", sent=sent)
    await drive.fail_over(denied, "denied", attempt=None, tried=None)
    assert (await moves.recent())[0].why == "paused"
    await drive.open("waited")
    record = await drive.ledger.record("waited")
    assert record is not None
    attempt = Attempt(provider="ollama", what="waited", detail="no_workers")
    where: dict[str, Any] = {"epoch": record.epoch, "turn": record.turn, "token": "t", "by": "reconciler"}
    await drive.ledger.hop("waited", to="openai", queue="openai", attempt=attempt, left="ollama", **where)
    assert [(move.call_id, move.why) for move in await moves.recent(1)] == [("waited", "no_workers")]


async def test_a_call_that_stays_with_its_provider_is_no_fallback(redis: Redis) -> None:
    drive = await Drive(redis).ticking()
    await drive.fail_over(await begun(drive), to="ollama")
    assert await Fallbacks(redis, drive.keys).recent() == []


async def test_answers_and_failures_are_counted_with_their_times(redis: Redis) -> None:
    drive = await Drive(redis).ticking()
    for i in range(4):
        run = await begun(drive, f"c{i}")
        for _ in range(2):  # its reply was lost
            report = drive.report(run, ms=100, first_ms=40)
            assert (await drive.finish(run, f"c{i}", provider="ollama", report=report)).word == "accepted"
    run = await begun(drive, "moved")
    for _ in range(2):
        await drive.fail_over(run, "moved", report=drive.report(run, "hard", why="refused"))
    run = await drive.begin("moved", provider="openai")
    report = drive.report(run, provider="openai", ms=3_000, first_ms=500)
    await drive.finish(run, "moved", provider="openai", report=report)
    seen = await stats(drive)
    ollama, openai = seen["ollama"], seen["openai"]
    assert (ollama.answered, ollama.failed, ollama.share, ollama.success) == (4, 1, 0.8, 0.8)
    assert (openai.answered, openai.failed, openai.share, openai.success) == (1, 0, 0.2, 1.0)
    for shown, ms in (
        (ollama.p50_ms, 100),
        (ollama.p95_ms, 100),
        (ollama.first_token_p50_ms, 40),
        (openai.p95_ms, 3_000),
        (openai.first_token_p95_ms, 500),
    ):
        assert shown is not None
        assert ms <= shown <= ms * 1.21
    assert [minute.answered for minute in ollama.series][-2:] in ([0, 4], [4, 0], [1, 3], [2, 2], [3, 1])
    (key,) = [key async for key in redis.scan_iter(f"{drive.keys.prefix}stat:*")][:1]
    assert 0 < await redis.pttl(key) <= STAT_MS


async def test_what_a_caller_or_a_worker_did_is_no_failure_of_the_provider(redis: Redis) -> None:
    drive = await Drive(redis).ticking()
    run = await begun(drive)
    attempt = Attempt(provider="ollama", what="handed_back")
    await drive.fail_over(run, to="ollama", attempt=attempt, report=drive.report(run, "none"))
    run = await drive.begin()
    await drive.finish(run, st="F", reason="deadline", outcome="", report=drive.report(run, "none"))
    assert (await stats(drive))["ollama"].failed == 0


async def test_a_refused_answer_is_not_counted(redis: Redis) -> None:
    drive = await Drive(redis).ticking()
    run = await begun(drive)
    await drive.ledger.cancel("c1", operator=True)
    await drive.finish(run, provider="ollama", report=drive.report(run))
    assert (await stats(drive))["ollama"].answered == 0


async def test_counts_are_forgotten_after_a_quarter_of_an_hour(redis: Redis) -> None:
    drive = await Drive(redis).ticking()
    drive.shift = -16 * 60_000
    run = await begun(drive)
    await drive.finish(run, provider="ollama", report=drive.report(run))
    assert (await stats(drive))["ollama"].answered == 0
    drive.shift = -10 * 60_000
    run = await begun(drive, "c2")
    await drive.finish(run, "c2", provider="ollama", report=drive.report(run))
    assert sum(minute.answered for minute in (await stats(drive))["ollama"].series[3:6]) == 1


@pytest.mark.parametrize("ms", [0, 1, 10, 11, 12, 13, 999, 2_500, 60_000, 599_999, 600_000, 86_400_000])
async def test_script_and_reader_agree_on_the_buckets(redis: Redis, ms: int) -> None:
    drive = await Drive(redis).ticking()
    run = await begun(drive)
    await drive.finish(run, provider="ollama", report=drive.report(run, ms=ms))
    expected = next((b for b in range(LAST_BUCKET) if 10 * 1.2**b >= ms - 1e-6), LAST_BUCKET)
    assert (await stats(drive))["ollama"].p50_ms == bound_ms(expected)
