"""`understudy jobs`: seen and steered as from another machine, with nothing but Redis."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from bot_client.cli.decider import UNSAID
from tests.support.command_line import CommandLine
from understudy.state.job import JobSpec, owner_here
from understudy.state.jobs import JobRun, Jobs
from understudy.state.keys import Keys

if TYPE_CHECKING:
    from pathlib import Path

    from redis.asyncio import Redis

PROGRESS: dict[str, Any] = {
    "total": 5_574, "done": 1_200, "failed": 3, "rate": 78.4, "left_s": 55.8,
    "providers": {"ollama": 1_100, "openai": 97},
    "verdicts": {"none": 1_000, "delete": 197}, "errors": {"no_provider": 3},
}  # fmt: skip
SPEC = JobSpec("j1", "old messages", "ops@host", budget_microusd=5_000_000, input="in.jsonl", output="out.jsonl")


@pytest.fixture
def cli(tmp_path: Path, redis_url: str) -> CommandLine:
    return CommandLine(tmp_path, redis_url)


@pytest.fixture
async def run(redis: Redis) -> JobRun:
    """A job that has begun, with what it was charged."""
    keys = Keys()
    run = await Jobs(redis, keys).create(SPEC)
    await run.beat(PROGRESS, state="waiting", why="ollama is out", window=16)
    await redis.hset(keys.spend_job("j1"), "total", "1230000")
    return run


async def test_a_table_tells_each_job_in_one_line(cli: CommandLine, run: JobRun) -> None:
    header, _, line = (await cli.run("jobs")).out.splitlines()
    assert header.split()[:6] == ["ID", "Name", "Owner", "State", "Done", "Rate"]
    for part in (
        "j1",
        "old messages",
        "ops@host",
        "waiting",
        "1,200 of 5,574 (22 %)",
        "78.4/s",
        "56 s",
        "$1.23 of $5.00",
    ):
        assert part in line


async def test_one_job_is_shown_whole(cli: CommandLine, run: JobRun) -> None:
    text = (await cli.run("jobs", "show", "j1")).out
    for part in (
        "waiting (ollama is out)",
        "ollama 1,100 (92 %), openai 97 (8 %)",
        "none 1,000 (84 %), delete 197 (16 %)",
    ):
        assert part in text
    told = (await cli.run("jobs", "show", "j1", "--json")).json
    assert (told["state"], told["why"], told["charged_microusd"]) == ("waiting", "ollama is out", 1_230_000)
    assert told["progress"] == PROGRESS
    (listed,) = (await cli.run("jobs", "--json")).json["jobs"]
    assert {name for name in told if told[name] != listed[name]} <= {"created_ms", "started_ms", "beat_ms"}


async def test_a_job_is_paused_set_resumed_and_cancelled_from_elsewhere(cli: CommandLine, run: JobRun) -> None:
    assert (await cli.run("jobs", "pause", "j1")).status == 0
    control = await run.beat(PROGRESS)
    assert (control.paused, control.who) == (True, owner_here())
    assert "paused" in (await cli.run("jobs")).out
    assert (await cli.run("jobs", "set", "j1", "--window", "4", "--budget-usd", "0.25")).status == 0
    assert (await cli.run("jobs", "resume", "j1")).status == 0
    control = await run.beat(PROGRESS)
    assert (control.want, control.window, control.budget_microusd) == ("run", 4, 250_000)
    assert (await cli.run("jobs", "set", "j1", "--window", "auto", "--budget-usd", "none")).status == 0
    control = await run.beat(PROGRESS)
    assert (control.window, control.budget_microusd) == (None, None)
    cancelled = await cli.run("jobs", "cancel", "j1", "--json", "--who", "ann", "--why", "wrong rules")
    assert cancelled.json["state"] == "cancelled"
    assert (await run.beat(PROGRESS)).cancelled
    audit = (await cli.run("audit", "--json")).json["entries"]
    assert [(entry["what"], entry["who"], entry["why"]) for entry in reversed(audit)] == [
        ("pause job j1", owner_here(), UNSAID),
        ("window 4 for job j1", owner_here(), UNSAID),
        ("budget $0.25 for job j1", owner_here(), UNSAID),
        ("resume job j1", owner_here(), UNSAID),
        ("window auto for job j1", owner_here(), UNSAID),
        ("budget none for job j1", owner_here(), UNSAID),
        ("cancel job j1", "ann", "wrong rules"),
    ]


async def test_without_jobs_a_sentence_says_so(cli: CommandLine) -> None:
    assert (await cli.run("jobs")).out == "No batch job has run within a day.\n"
    assert (await cli.run("jobs", "--json")).json == {"jobs": []}


async def test_jobs_that_ended_long_ago_are_shown_with_all(cli: CommandLine, run: JobRun, redis: Redis) -> None:
    await run.end(PROGRESS, state="done")
    assert "j1" in (await cli.run("jobs")).out
    await redis.hset(Keys().job("j1"), "ended", "1")
    assert "j1" not in (await cli.run("jobs")).out
    assert "j1" in (await cli.run("jobs", "--all")).out


@pytest.mark.parametrize(
    ("args", "status", "words"),
    [
        (("show", "nope"), 5, "No job has the id nope"),
        (("pause", "nope"), 5, "No job has the id nope"),
        (("pause", "j1", "--who", " "), 2, "jobs: who must be text of 1 to 200 characters."),
        (("set", "j1"), 2, "Give --window, --budget-usd or both."),
        (("set", "j1", "--window", "0"), 2, "a whole number from 1 to 10,000, or auto"),
        (("set", "j1", "--budget-usd", "much"), 2, "an amount in US dollars"),
    ],
)
async def test_wrong_use_is_named(cli: CommandLine, args: tuple[str, ...], status: int, words: str) -> None:
    ran = await cli.run("jobs", *args)
    assert ran.status == status
    assert words in ran.err


async def test_an_ended_job_is_not_paused(cli: CommandLine, run: JobRun) -> None:
    await run.end(PROGRESS, state="done")
    ran = await cli.run("jobs", "pause", "j1")
    assert (ran.status, "the job has ended (done)" in ran.err) == (2, True)
