"""The breaker in Redis: when it opens, what half-open lets through, what a late report changes."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.ledger import Drive
from understudy.providers import Provider
from understudy.state.health import Health

if TYPE_CHECKING:
    from redis.asyncio import Redis

    from understudy.state.ledger import Reply

OLLAMA = Provider("ollama", "http://x/v1", "m", None, False, True, 8192, 15, 3, 15, 10)
OPENAI = Provider("openai", "http://y/v1", "m", None, True, False, 128_000, 30, 3, 30, 20)


async def attempt(drive: Drive, call_id: str, verdict: str, **report: Any) -> Reply:
    """One call that begins, asks once and ends."""
    run = await drive.begin(call_id, sent=(await drive.open(call_id)).number("sent"))
    if run.word == "run":
        await drive.finish(run, call_id, report=drive.report(run, verdict, why="refused", **report))
    return run


async def opened(drive: Drive) -> None:
    for i in range(3):
        await attempt(drive, f"hard{i}", "hard")
    assert (await drive.breaker())["state"] == "open"


async def half_opened(drive: Drive) -> None:
    await opened(drive)
    health = Health(drive.redis, drive.keys, (OLLAMA, OPENAI), shift_ms=lambda: drive.shift)
    assert await health.probed(OLLAMA, ok=True) == "half_open"


async def test_three_hard_failures_in_a_row_open_it(redis: Redis) -> None:
    drive = Drive(redis)
    await attempt(drive, "a", "hard")
    await attempt(drive, "b", "hard")
    await attempt(drive, "c", "ok")
    await attempt(drive, "d", "hard")
    await attempt(drive, "e", "hard")
    assert (await drive.breaker())["state"] == "closed"
    await attempt(drive, "f", "hard")
    assert (await drive.breaker())["state"] == "open"
    assert (await attempt(drive, "g", "ok")).word == "denied"


async def test_half_bad_of_ten_within_a_minute_opens_it_and_older_ones_do_not_count(redis: Redis) -> None:
    drive = Drive(redis)
    for i in range(4):
        await attempt(drive, f"old{i}", "ok" if i % 2 else "hard")
    drive.shift = 75_000
    for i in range(9):
        await attempt(drive, f"new{i}", "ok" if i % 2 else "hard")
    assert (await drive.breaker())["state"] == "closed"
    await attempt(drive, "last", "hard")
    assert (await drive.breaker())["state"] == "open"


async def test_eight_slow_of_ten_open_it(redis: Redis) -> None:
    drive = Drive(redis)
    for i in range(10):
        assert (await drive.breaker())["state"] == "closed"
        await attempt(drive, f"c{i}", "ok", slow=i >= 2)
    assert (await drive.breaker())["why"] == "slow"


@pytest.mark.parametrize("verdict", ["quality", "none"])
async def test_answers_that_are_not_the_providers_health_never_open_it(redis: Redis, verdict: str) -> None:
    drive = Drive(redis)
    for i in range(12):
        await attempt(drive, f"c{i}", verdict)
    assert (await drive.breaker())["state"] == "closed"


async def test_of_32_workers_meeting_a_half_open_breaker_exactly_one_gets_through(redis: Redis) -> None:
    drive = Drive(redis)
    await half_opened(drive)
    sent = [(await drive.open(f"c{i}")).number("sent") for i in range(32)]
    got = await asyncio.gather(*(drive.begin(f"c{i}", sent=sent[i]) for i in range(32)))
    assert sorted(run.word for run in got) == ["denied"] * 31 + ["run"]


async def test_half_open_lets_one_then_two_then_four_through_and_three_successes_close_it(redis: Redis) -> None:
    drive = Drive(redis)
    await half_opened(drive)
    n = 0
    for width in (1, 2, 4):
        runs = []
        for _ in range(6):
            n += 1
            run = await drive.begin(f"c{n}", sent=(await drive.open(f"c{n}")).number("sent"))
            if run.word == "run":
                runs.append((f"c{n}", run))
        assert len(runs) == width
        for i, (call_id, run) in enumerate(runs):
            await drive.finish(run, call_id, report=drive.report(run, "ok" if i == 0 else "none"))
    assert (await drive.breaker())["state"] == "closed"


async def test_a_permit_whose_holder_died_is_free_after_its_lease(redis: Redis) -> None:
    drive = Drive(redis)
    await half_opened(drive)
    await drive.begin("dead", sent=(await drive.open("dead")).number("sent"))
    assert (await drive.begin("a", sent=(await drive.open("a")).number("sent"))).word == "denied"
    drive.shift = 10_001
    assert (await drive.begin("b", sent=(await drive.open("b")).number("sent"))).word == "run"


async def test_a_renewed_permit_keeps_its_place_for_as_long_as_the_request_runs(redis: Redis) -> None:
    drive = Drive(redis)
    await half_opened(drive)
    run = await drive.begin("long", sent=(await drive.open("long")).number("sent"))
    for _ in range(4):
        drive.shift += 8_000
        await drive.ledger.renew([("long", run.number("epoch"), run.text("rid"), "ollama", "m")])
    assert (await drive.begin("a", sent=(await drive.open("a")).number("sent"))).word == "denied"


async def test_a_late_report_of_an_old_generation_changes_nothing(redis: Redis) -> None:
    drive = Drive(redis)
    late_good = await drive.begin("good", sent=(await drive.open("good")).number("sent"))
    late_bad = await drive.begin("bad", sent=(await drive.open("bad")).number("sent"))
    await opened(drive)
    before = await drive.breaker()
    await drive.finish(late_good, "good", report=drive.report(late_good, "ok"))
    assert await drive.breaker() == before
    health = Health(redis, drive.keys, (OLLAMA,), shift_ms=lambda: drive.shift)
    await health.clear(OLLAMA)
    await drive.finish(late_bad, "bad", report=drive.report(late_bad, "hard"))
    assert (await drive.breaker())["hard"] == "0"


async def test_a_request_within_a_half_open_breaker_that_fails_opens_it_for_longer(redis: Redis) -> None:
    drive = Drive(redis)
    await opened(drive)
    first = await drive.breaker()
    drive.shift = int(first["until"]) - int(first["since"])
    await attempt(drive, "trial", "hard")
    second = await drive.breaker()
    assert second["state"] == "open"
    assert int(second["until"]) - int(second["since"]) == 2 * (int(first["until"]) - int(first["since"]))


async def test_a_probe_never_ends_a_cooldown_before_its_retry_after(redis: Redis) -> None:
    drive = Drive(redis)
    for i in range(3):
        await attempt(drive, f"hard{i}", "hard", retry_after_ms=45_000)
    health = Health(redis, drive.keys, (OLLAMA,), shift_ms=lambda: drive.shift)
    drive.shift = 44_000
    assert await health.probed(OLLAMA, ok=True) == "open"
    drive.shift = 45_500
    assert await health.probed(OLLAMA, ok=True) == "half_open"


async def test_a_request_granted_anew_counts_against_the_breaker_like_any_other(redis: Redis) -> None:
    drive = Drive(redis)
    for i in range(2):
        await attempt(drive, f"hard{i}", "hard")
    run = await drive.begin("c", sent=(await drive.open("c")).number("sent"), token="t")
    again = await drive.ledger.again(
        "c",
        epoch=run.number("epoch"),
        token="t",
        rid=run.text("rid"),
        provider="ollama",
        model="m",
        queue="ollama",
        max_requests=8,
        report=drive.report(run, "hard", why="reset"),
    )
    assert again.word == "denied"


async def test_a_rate_limit_pauses_the_whole_queue_and_says_nothing_about_health(redis: Redis) -> None:
    drive = Drive(redis)
    await attempt(drive, "a", "none", pause_ms=5_000, queues=["ollama", "ollama.batch"])
    assert (await attempt(drive, "b", "ok")).values["why"] == "paused"
    seen = await Health(redis, drive.keys, (OLLAMA,)).snapshot()
    assert seen.breaker("ollama").state == "closed"
    assert seen.queue("ollama.batch").paused_ms > 0


async def test_the_fallback_that_worked_is_preferred_until_the_primary_closes_and_never_renewed(redis: Redis) -> None:
    drive = Drive(redis)
    await opened(drive)
    for i in range(2):
        call_id = f"f{i}"
        sent = (await drive.open(call_id, provider="openai", queue="openai")).number("sent")
        run = await drive.begin(call_id, provider="openai", sent=sent)
        await drive.finish(
            run, call_id, provider="openai", primary="ollama", primary_model="m", preferred_ms=60_000 * (i + 1)
        )
    assert 0 < await redis.pttl(drive.keys.preferred()) <= 60_000
    health = Health(redis, drive.keys, (OLLAMA, OPENAI), shift_ms=lambda: drive.shift)
    assert (await health.snapshot()).preferred == "openai"
    await health.probed(OLLAMA, ok=True)
    for i in range(3):
        await attempt(drive, f"ok{i}", "ok")
    assert (await health.snapshot()).preferred is None


async def test_a_snapshot_of_an_empty_redis_is_healthy_and_without_workers(redis: Redis) -> None:
    seen = await Health(redis, Drive(redis).keys, (OLLAMA,)).snapshot()
    assert seen.breaker("ollama").state == "closed"
    assert seen.queue("ollama").concurrency == 0
