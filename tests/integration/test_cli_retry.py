"""`understudy retry`: asked first, refused where nobody can be asked, and carried out by real workers."""

from __future__ import annotations

import sys
from functools import partial
from typing import TYPE_CHECKING

import pytest

from bot_client import AllProvidersFailed, DeadlineExceeded
from tests.support.command_line import CommandLine, take
from tests.support.ledger import Drive
from tests.support.polling import aeventually
from tests.support.terminal import terminal
from understudy.contracts.call import Status
from understudy.state.record import DONE
from workers.stand_in import Fate

if TYPE_CHECKING:
    from pathlib import Path

    from redis.asyncio import Redis

    from tests.support.stack import Look, Stack

SECRET = "the user's own words"


@pytest.fixture
def cli(tmp_path: Path, redis_url: str) -> CommandLine:
    return CommandLine(tmp_path, redis_url)


@pytest.fixture
def drive(redis: Redis) -> Drive:
    return Drive(redis, "u:")


async def failed(drive: Drive, *ids: str, reason: str = "deadline", opts: str = "{}") -> None:
    for call_id in ids:
        await drive.open(call_id, opts=opts)
        await take(drive, call_id, status=Status.FAILED, reason=reason)


async def is_done(look: Look, call_id: str) -> bool:
    return (await look.record(call_id)).state == DONE


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        ((), "Give the IDs of calls, or --cause."),
        (("c1", "--cause", "deadline"), "Give the IDs of calls, or --cause."),
        (("c1", "--limit", "3", "--yes"), "--limit goes with --cause."),
        (("c1",), "which may cost money: give --yes, or run it at a terminal."),
        (("c1", "--json"), "which may cost money: give --yes, or run it at a terminal."),
        (("--cause", "weather", "--yes"), "cause: there is no such cause"),
        (("--cause", "cancelled", "--yes"), "Give the IDs of calls that were given up"),
    ],
)
async def test_wrong_usage_runs_nothing_again(
    cli: CommandLine, drive: Drive, args: tuple[str, ...], sentence: str
) -> None:
    await failed(drive, "c1")
    ran = await cli.run("retry", *args)
    assert ran.status == 2
    assert sentence in ran.err + ran.out
    assert await drive.state("c1") == "F"


async def test_at_a_terminal_it_says_what_it_could_cost_and_does_nothing_without_a_yes(
    cli: CommandLine, drive: Drive
) -> None:
    await failed(drive, "c1", "c2")
    command = [sys.executable, "-m", "bot_client.cli", "retry", "--cause", "deadline"]
    async with terminal(command, cli.env, cli.folder) as at:
        await at.shows("2 calls will run again, which could cost $0.")
        await at.shows("Go on? [y/N]: ")
        at.press("n\n")
        assert await at.ended() == 130
    assert [await drive.state(name) for name in ("c1", "c2")] == ["F", "F"]
    async with terminal(command, cli.env, cli.folder) as at:
        await at.shows("Go on? [y/N]: ")
        at.press("y\n")
        await at.shows("2 calls will run again. Workers begin within a few seconds")
        assert await at.ended() == 0
    assert [await drive.state(name) for name in ("c1", "c2")] == ["P", "P"]


async def test_calls_that_may_not_be_paid_for_cost_nothing(cli: CommandLine, drive: Drive) -> None:
    await failed(drive, "c1", opts='{"spend":"never"}')
    told = (await cli.run("retry", "c1", "--yes", "--json")).json
    assert told == {"cause": None, "rerun": 1, "refused": {}, "worst_microusd": 0}


async def test_calls_that_cannot_run_again_are_named_with_their_state(cli: CommandLine, drive: Drive) -> None:
    await failed(drive, "c1")
    await drive.open("c2")
    ran = await cli.run("retry", "c1", "c2", "nobody", "c1", "--yes")
    assert ran.status == 1
    assert ran.out.startswith("1 call will run again.")
    assert "c2: it is queued; only calls that failed or were cancelled run again." in ran.err
    assert "nobody: no call has this id, or its record has expired." in ran.err
    assert await drive.state("c1") == "P"
    assert (await cli.run("retry", "nobody", "--yes")).status == 5


async def test_a_call_that_was_given_up_runs_again_by_its_id(cli: CommandLine, drive: Drive) -> None:
    await drive.open("c1")
    await cli.run("cancel", "c1")
    assert (await cli.run("retry", "c1", "--yes", "--json")).json["rerun"] == 1
    assert await drive.state("c1") == "P"


async def test_only_so_many_of_a_cause_run_again_and_none_where_none_is_left(cli: CommandLine, drive: Drive) -> None:
    await failed(drive, "c1", "c2", "c3")
    told = (await cli.run("retry", "--cause", "deadline", "--limit", "2", "--yes", "--json")).json
    assert (told["cause"], told["rerun"]) == ("deadline", 2)
    assert (await cli.run("calls", "--json")).json["causes"][0]["calls"] == 1
    ran = await cli.run("retry", "--cause", "no_workers", "--yes")
    assert (ran.status, ran.out) == (0, "No call that failed for this cause is left.\n")


async def test_calls_that_both_providers_failed_are_found_mended_and_run_again(stack: Stack, tmp_path: Path) -> None:
    cli = CommandLine(tmp_path, stack.redis.url(), **stack.environment)
    for provider in stack.providers.values():
        provider.set_fate(Fate(status=500))
    ids = []
    async with stack.client() as llm:
        for n in range(2):
            with pytest.raises((AllProvidersFailed, DeadlineExceeded)) as caught:
                await llm.moderate(f"{SECRET} {n}", deadline_s=3)
            ids.append(caught.value.call_id)
    rows = {row["call_id"]: row for row in (await cli.run("calls", "--failed", "--json")).json["calls"]}
    assert set(ids) <= set(rows)
    cause = rows[ids[0]]["reason"]
    told = (await cli.run("call", ids[0], "--json")).json
    assert (told["state"], told["reason"]) == ("failed", cause)
    asked = [bar["provider"] for bar in told["bars"] if bar["what"] == "server_error"]
    assert {"ollama", "openai"} <= set(asked)
    assert [bar["end_ms"] for bar in told["bars"][:-2]] == [bar["start_ms"] for bar in told["bars"][1:-1]]
    assert told["bars"][-1]["detail"] == told["reason_words"]
    for provider in stack.providers.values():
        provider.set_fate(Fate())
    await cli.run("clear", "--who", "anna", "--why", "mended")
    for reason in {rows[call_id]["reason"] for call_id in ids}:
        ran = await cli.run("retry", "--cause", reason, "--yes", "--who", "anna", "--why", "the providers are back")
        assert ran.status == 0
    async with stack.look() as look:
        for call_id in ids:
            await aeventually(partial(is_done, look, call_id))
    told = (await cli.run("call", ids[0], "--json")).json
    assert (told["state"], told["runs_before"]) == ("done", 1)
    assert "server_error" not in {bar["what"] for bar in told["bars"]}
    entries = (await cli.run("audit", "--json")).json["entries"]
    assert any(entry["who"] == "anna" and entry["what"].startswith(f"retry cause {cause}") for entry in entries)
    for command in (("calls", "--failed"), ("call", ids[0]), ("audit",)):
        ran = await cli.run(*command)
        assert ran.status == 0
        assert SECRET not in ran.out + ran.err
