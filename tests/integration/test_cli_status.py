"""`understudy status`, `force`, `unforce` and `clear` on a real Redis."""

from __future__ import annotations

import asyncio
import json
import signal
from typing import TYPE_CHECKING

import pytest

from tests.support.command_line import LIMIT_S, CommandLine, announce, ended
from tests.support.ledger import Drive
from tests.support.ports import free_port
from tests.support.redis_server import RedisServer

if TYPE_CHECKING:
    from pathlib import Path

    from redis.asyncio import Redis

    from workers.local_redis import Flavour


@pytest.fixture
def cli(tmp_path: Path, redis_url: str) -> CommandLine:
    return CommandLine(tmp_path, redis_url)


@pytest.fixture
def drive(redis: Redis) -> Drive:
    return Drive(redis, "u:")


async def open_breaker(drive: Drive) -> None:
    for i in range(3):
        run = await drive.begin(f"h{i}", sent=(await drive.open(f"h{i}")).number("sent"))
        await drive.finish(run, f"h{i}", report=drive.report(run, "hard", why="refused"))


async def test_the_document_holds_breakers_queues_and_workers(cli: CommandLine, drive: Drive) -> None:
    await announce(drive, "openai", "openai.batch")
    await open_breaker(drive)
    await drive.open("c1", deadline_ms=600_000)
    ran = await cli.run("status", "--json")
    assert ran.status == 0
    ollama, openai = ran.json["providers"]
    assert (ollama["name"], ollama["breaker"], ollama["why"], ollama["is_probed"]) == (
        "ollama",
        "open",
        "refused",
        True,
    )
    assert 0 < ollama["next_try_ms"] <= 10_000
    assert (openai["breaker"], openai["next_try_ms"]) == ("closed", None)
    queues = {row["name"]: (row["waiting"], row["workers"], row["concurrency"]) for row in ran.json["queues"]}
    assert queues == {"ollama": (1, 0, 0), "ollama.batch": (0, 0, 0), "openai": (0, 1, 16), "openai.batch": (0, 1, 16)}
    assert ran.json["workers"] == [{"id": "w1", "queues": ["openai", "openai.batch"], "concurrency": 16}]


async def test_people_read_the_reason_and_the_next_try(cli: CommandLine, drive: Drive) -> None:
    await announce(drive, "openai")
    await open_breaker(drive)
    out = (await cli.run("status")).out
    row = next(line for line in out.splitlines() if line.startswith("ollama") and "open" in line)
    assert "connection refused" in row
    assert "in " in row
    assert "or when a probe works" in row
    assert "ollama.batch" not in out


async def test_what_a_program_reads_has_no_colour_and_no_wrapped_line(cli: CommandLine, drive: Drive) -> None:
    cli.env["OLLAMA_MODEL_NAME"] = "a-model-with-a-name-" + "x" * 150
    out = (await cli.run("status")).out
    assert "\x1b" not in out
    assert any(cli.env["OLLAMA_MODEL_NAME"] in line for line in out.splitlines())


async def test_a_queue_without_workers_is_red_in_a_terminal(cli: CommandLine, drive: Drive) -> None:
    await announce(drive, "openai")
    cli.env |= {"FORCE_COLOR": "1", "TERM": "xterm-256color"}
    lines = (await cli.run("status")).out.splitlines()
    (ollama,) = (line for line in lines if "none" in line)
    (openai,) = (line for line in lines if "16" in line)
    assert "ollama" in ollama
    assert "\x1b[1;31m" in ollama
    assert "\x1b[1;31m" not in openai


async def test_no_color_leaves_no_colour(cli: CommandLine) -> None:
    cli.env |= {"FORCE_COLOR": "1", "TERM": "xterm-256color", "NO_COLOR": "1"}
    out = (await cli.run("status")).out
    assert "none" in out
    assert "31m" not in out


async def test_without_a_key_it_says_that_the_paid_provider_is_absent(cli: CommandLine) -> None:
    cli.env["OPENAI_API_KEY"] = ""
    ran = await cli.run("status")
    assert "The paid provider openai is absent: OPENAI_API_KEY is not set." in ran.out


@pytest.mark.parametrize(
    "command", [("status",), ("why", "c1"), ("clear",), ("unforce",), ("calls",), ("audit",)], ids=lambda c: c[0]
)
async def test_redis_out_of_reach_is_exit_status_4_and_one_sentence(tmp_path: Path, command: tuple[str, ...]) -> None:
    url = f"redis://someone:hunter2@127.0.0.1:{free_port()}/0"
    cli = CommandLine(tmp_path, url)
    ran = await cli.run(*command)
    assert (ran.status, ran.out) == (4, "")
    assert ran.err.count("\n") == 1
    assert "cannot be reached" in ran.err
    assert "hunter2" not in ran.err
    error = (await cli.run(*command, "--json")).json["error"]
    assert (error["type"], error["exit_status"]) == ("Unavailable", 4)


async def test_a_forced_provider_is_shown_with_who_why_and_how_long(cli: CommandLine, drive: Drive) -> None:
    why = "the new GPU [bold]is[/bold] late"
    forced = await cli.run("force", "openai", "--for", "30m", "--why", why, "--who", "anna", "--json")
    assert forced.json == {"forced": {"provider": "openai", "who": "anna", "why": why, "left_ms": 1_800_000}}
    seen = (await cli.run("status", "--json")).json["forced"]
    assert (seen["provider"], seen["who"], seen["why"]) == ("openai", "anna", why)
    assert 0 < seen["left_ms"] <= 1_800_000
    assert f": {why}\n" in (await cli.run("status")).out
    assert (await cli.run("unforce", "--json")).json == {"forced": None, "was_forced": True}
    assert (await cli.run("status", "--json")).json["forced"] is None
    assert "No provider was forced" in (await cli.run("unforce")).out


async def test_without_a_duration_the_settings_say_how_long(cli: CommandLine, drive: Drive) -> None:
    cli.env["UNDERSTUDY_FORCED_S"] = "60"
    assert (await cli.run("force", "ollama", "--why", "x")).status == 0
    assert 0 < await drive.redis.pttl(drive.keys.forced()) <= 60_000


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        (("llama", "--why", "x"), "force: there is no provider 'llama'; the providers are ollama, openai."),
        (("ollama", "--why", " "), "force: why must be text of 1 to 200 characters."),
        (("ollama", "--why", "x" * 201), "force: why has 201 characters; at most 200 are allowed."),
        (("ollama", "--why", "x", "--for", "2d"), "force: for_s is 172800; 1 to 86400 seconds are allowed."),
        (("ollama",), "Missing option '--why'."),
        (("ollama", "--why", "x", "--for", "soon"), "it must be a duration such as 90, 90s, 30m or 1h30m"),
    ],
)
async def test_a_wrong_force_is_exit_status_2_and_changes_nothing(
    cli: CommandLine, drive: Drive, args: tuple[str, ...], sentence: str
) -> None:
    ran = await cli.run("force", *args)
    assert ran.status == 2
    assert sentence in ran.err
    assert await drive.redis.get(drive.keys.forced()) is None


async def test_clear_closes_the_breaker_and_leaves_what_was_forced(cli: CommandLine, drive: Drive) -> None:
    await cli.run("force", "openai", "--why", "x")
    await open_breaker(drive)
    ran = await cli.run("clear", "ollama")
    assert ran.out == "ollama: the breaker was open (connection refused) and is closed now.\n"
    assert (await drive.breaker())["state"] == "closed"
    assert await drive.redis.get(drive.keys.forced()) is not None


async def test_clear_without_a_name_clears_all(cli: CommandLine, drive: Drive) -> None:
    await open_breaker(drive)
    cleared = json.loads((await cli.run("clear", "--json")).out)["cleared"]
    assert [(row["provider"], row["was"]) for row in cleared] == [("ollama", "open"), ("openai", "closed")]
    assert (await drive.breaker())["state"] == "closed"
    assert (await cli.run("clear", "nobody")).status == 2


async def test_watch_shows_an_outage_of_redis_and_goes_on_after_it(tmp_path: Path, redis_flavour: Flavour) -> None:
    folder = tmp_path / "redis"
    folder.mkdir()
    server = RedisServer(folder, redis_flavour)
    server.start()
    server.stop()
    cli = CommandLine(tmp_path, server.url())
    process = await cli.start("status", "--watch")
    assert process.stdout is not None
    try:
        async with asyncio.timeout(LIMIT_S):
            assert b"cannot be reached" in await process.stdout.readline()
            server.start()
            await process.stdout.readuntil(b"Next try")
        process.send_signal(signal.SIGINT)
        assert (await ended(process)).status == 130
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        server.stop()
