"""Batch jobs in Redis: told of by their runners, steered from elsewhere."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from understudy.errors import InvalidRequest, UnknownJob
from understudy.state.job import LOST_MS, JobSpec
from understudy.state.jobs import Jobs
from understudy.state.keys import JOB_TTL_MS, Keys

if TYPE_CHECKING:
    from redis.asyncio import Redis

KEYS = Keys("t:")
BY = {"who": "ann", "why": "spam"}
SPEC = JobSpec("j1", "old messages", "ops@host", window=16, budget_microusd=5_000_000, input="in.jsonl", output="o")


class Elsewhere(Jobs):
    """The jobs, with a clock that a test moves."""

    def __init__(self, redis: Redis) -> None:
        self.shift = 0
        super().__init__(redis, KEYS, lambda: self.shift)


@pytest.fixture
def jobs(redis: Redis) -> Elsewhere:
    return Elsewhere(redis)


async def test_a_job_is_seen_with_all_that_its_runner_says(jobs: Elsewhere) -> None:
    run = await jobs.create(SPEC)
    assert (await jobs.get("j1")).state == "starting"
    await run.beat({"done": 7, "total": 9, "verdicts": {"allow": 7}}, window=4)
    job = await jobs.get("j1")
    assert (job.name, job.owner, job.spend, job.input, job.output) == (
        "old messages",
        "ops@host",
        "defer",
        "in.jsonl",
        "o",
    )
    assert (job.state, job.window, job.window_wanted, job.budget_microusd) == ("running", 4, 16, 5_000_000)
    assert job.progress == {"done": 7, "total": 9, "verdicts": {"allow": 7}}
    assert job.created <= job.started <= job.beat <= job.now
    assert job.ended is None


async def test_the_runner_hears_what_operators_want_with_its_next_beat(jobs: Elsewhere) -> None:
    run = await jobs.create(SPEC)
    assert not run.control.paused
    await jobs.pause("j1", who="ann@desk", why="spam")
    await jobs.set_window("j1", 3, **BY)
    await jobs.set_budget("j1", 1_000, **BY)
    control = await run.beat({}, state="running")
    assert (control.paused, control.who, control.window, control.budget_microusd) == (True, "ann@desk", 3, 1_000)
    assert ((await jobs.get("j1")).state, (await jobs.get("j1")).why) == ("paused", "by ann@desk")
    await jobs.resume("j1", **BY)
    await jobs.set_window("j1", None, **BY)
    await jobs.set_budget("j1", None, **BY)
    control = await run.beat({})
    assert (control.want, control.who, control.window, control.budget_microusd) == ("run", "", None, None)
    await jobs.cancel("j1", who="bob@desk", why="spam")
    assert (await run.beat({})).cancelled
    assert (await jobs.get("j1")).state == "cancelled"


async def test_why_a_job_waits_is_seen(jobs: Elsewhere) -> None:
    run = await jobs.create(SPEC)
    await run.beat({}, state="waiting", why="ollama is out")
    assert ((await jobs.get("j1")).state, (await jobs.get("j1")).why) == ("waiting", "ollama is out")


@pytest.mark.parametrize("times", [1, 2])
async def test_each_operation_bears_being_repeated(jobs: Elsewhere, times: int) -> None:
    run = await jobs.create(SPEC, "r1")
    for _ in range(times):
        await jobs.pause("j1", **BY)
    for _ in range(times):
        assert (await run.open()).paused
    for _ in range(times):
        assert (await run.beat({"done": 1})).paused
    for _ in range(times):
        await jobs.cancel("j1", **BY)
    for _ in range(times):
        await run.end({"done": 2}, state="cancelled", why="by ann")
    job = await jobs.get("j1")
    assert (job.state, job.progress, len(await jobs.latest())) == ("cancelled", {"done": 2}, 1)


async def test_of_two_runners_of_a_job_the_later_one_goes_on(jobs: Elsewhere) -> None:
    first = await jobs.create(SPEC)
    await first.beat({"done": 5})
    second = await jobs.create(SPEC)
    assert (await first.beat({"done": 6})).replaced
    await first.end({"done": 6}, state="stopped")
    assert not (await second.beat({"done": 5})).replaced
    job = await jobs.get("j1")
    assert (job.state, job.progress) == ("running", {"done": 5})


async def test_two_operators_at_once_leave_one_of_their_wishes_whole(jobs: Elsewhere) -> None:
    run = await jobs.create(SPEC)
    wishes: list[Any] = []
    for i in range(20):
        wishes += [
            jobs.pause("j1", who=f"p{i}", why="spam"),
            jobs.resume("j1", **BY),
            jobs.set_window("j1", i + 1, **BY),
            jobs.set_budget("j1", i, **BY),
        ]
    await asyncio.gather(*wishes)
    control = await run.beat({})
    assert control.paused == control.who.startswith("p")
    assert control.window in range(1, 21)
    assert control.budget_microusd in range(20)


async def test_a_job_without_beats_is_lost_and_its_next_runner_takes_it_on(jobs: Elsewhere) -> None:
    run = await jobs.create(SPEC)
    await run.beat({"done": 5})
    jobs.shift = LOST_MS + 1_000
    job = await jobs.get("j1")
    assert (job.state, job.silent_ms > LOST_MS) == ("lost", True)
    await jobs.create(SPEC)
    assert (await jobs.get("j1")).state == "starting"


async def test_a_pause_holds_over_a_new_start_and_a_cancel_does_not(jobs: Elsewhere) -> None:
    await jobs.create(SPEC)
    await jobs.pause("j1", **BY)
    assert (await jobs.create(SPEC)).control.paused
    await jobs.cancel("j1", **BY)
    assert (await jobs.create(SPEC)).control.want == "run"


async def test_what_operators_set_holds_for_a_start_that_says_nothing_else(jobs: Elsewhere) -> None:
    await jobs.create(SPEC)
    await jobs.set_budget("j1", 7, **BY)
    plain = JobSpec("j1", "old messages", "ops@host")
    control = (await jobs.create(plain)).control
    assert (control.window, control.budget_microusd) == (16, 7)
    assert (await jobs.create(SPEC)).control.budget_microusd == 5_000_000


async def test_a_lost_job_is_cancelled_at_once_and_its_runner_hears_of_it_when_it_comes_back(jobs: Elsewhere) -> None:
    run = await jobs.create(SPEC)
    jobs.shift = LOST_MS + 1_000
    await jobs.cancel("j1", **BY)
    assert (await jobs.get("j1")).ended is not None
    assert (await run.beat({"done": 1})).cancelled
    assert (await jobs.get("j1")).state == "cancelled"


async def test_an_ended_job_is_not_steered(jobs: Elsewhere) -> None:
    run = await jobs.create(SPEC)
    await run.end({"done": 1}, state="done")
    with pytest.raises(InvalidRequest, match=r"the job has ended \(done\)"):
        await jobs.pause("j1", **BY)
    await jobs.cancel("j1", **BY)  # there is nothing left to end
    assert (await jobs.get("j1")).state == "done"
    jobs.shift = LOST_MS * 2
    assert (await jobs.get("j1")).state == "done"


async def test_what_redis_lost_is_told_again_with_what_operators_had_set(redis: Redis, jobs: Elsewhere) -> None:
    run = await jobs.create(SPEC)
    await jobs.pause("j1", **BY)
    await jobs.set_budget("j1", 7, **BY)
    await run.beat({})
    await redis.flushall()
    control = await run.beat({"done": 8})
    assert (control.paused, control.who, control.window, control.budget_microusd) == (True, "ann", 16, 7)
    assert (await jobs.get("j1")).progress == {"done": 8}


async def test_jobs_are_listed_latest_first_and_forgotten_when_they_expire(redis: Redis, jobs: Elsewhere) -> None:
    for name in ("j1", "j2", "j3"):
        await jobs.create(JobSpec(name, name, "o"))
        jobs.shift += 10
    assert [job.id for job in await jobs.latest()] == ["j3", "j2", "j1"]
    assert [job.id for job in await jobs.latest(limit=2)] == ["j3", "j2"]
    for key in (KEYS.job("j1"), KEYS.jobs()):
        assert JOB_TTL_MS - 60_000 < await redis.pttl(key) <= JOB_TTL_MS
    await redis.delete(KEYS.job("j2"))
    assert [job.id for job in await jobs.latest()] == ["j3", "j1"]
    assert await redis.zcard(KEYS.jobs()) == 2
    jobs.shift += JOB_TTL_MS + 1_000
    assert await jobs.latest() == []


async def test_an_unknown_job_is_named(jobs: Elsewhere) -> None:
    with pytest.raises(UnknownJob, match="No job has the id nope"):
        await jobs.get("nope")
    with pytest.raises(UnknownJob):
        await jobs.pause("nope", **BY)


@pytest.mark.parametrize("window", [0, -1, 10_001])
async def test_a_window_has_limits(jobs: Elsewhere, window: int) -> None:
    with pytest.raises(InvalidRequest, match="window is"):
        await jobs.set_window("j1", window, **BY)
