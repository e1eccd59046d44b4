"""`understudy why` and `cancel`: where a call is, told from real records."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.command_line import CommandLine, announce, take
from tests.support.ledger import Drive
from understudy.contracts.call import Attempt

if TYPE_CHECKING:
    from pathlib import Path

    from redis.asyncio import Redis

SECRET = "the user's own words"
REQUEST = f'{{"text":"{SECRET}"}}'


@pytest.fixture
def cli(tmp_path: Path, redis_url: str) -> CommandLine:
    return CommandLine(tmp_path, redis_url)


@pytest.fixture
def drive(redis: Redis) -> Drive:
    return Drive(redis, "u:")


async def test_a_queued_call_has_a_place_and_a_reason(cli: CommandLine, drive: Drive) -> None:
    await announce(drive, "ollama")
    for name in ("first", "second", "third"):
        await drive.open(name, request=REQUEST, deadline_ms=600_000)
    told = (await cli.run("why", "third", "--json")).json
    assert (told["state"], told["queue"], told["position"]) == ("queued", "ollama", 3)
    assert told["why"] == "It waits behind 2 calls; the workers of ollama run 16 at once."
    assert 0 < told["deadline_left_ms"] <= 600_000
    assert told["next_look_ms"] is not None


async def test_a_queue_without_workers_is_named_as_the_reason(cli: CommandLine, drive: Drive) -> None:
    await drive.open("c1", request=REQUEST)
    ran = await cli.run("why", "c1")
    assert ran.status == 0
    assert "No worker consumes the queue ollama." in ran.out
    assert "no worker consumes its queue" in ran.out


async def test_a_running_call_names_its_worker_and_what_failed_before(cli: CommandLine, drive: Drive) -> None:
    await announce(drive, "ollama", "openai")
    run = await drive.begin(sent=(await drive.open(request=REQUEST, deadline_ms=600_000)).number("sent"))
    failed = Attempt(provider="ollama", model="m", what="refused", ms=7, requests=1)
    moved = await drive.fail_over(run, attempt=failed)
    await drive.begin(provider="openai", sent=moved.number("sent"), worker="w7")
    told = (await cli.run("why", "c1", "--json")).json
    assert (told["state"], told["provider"], told["worker"]) == ("running", "openai", "w7")
    assert [(a["provider"], a["what"], a["ms"]) for a in told["attempts"]] == [("ollama", "refused", 7)]
    assert {row["name"]: (row["here"], row["standing"]) for row in told["providers"]} == {
        "ollama": (False, "tried"),
        "openai": (True, "free"),
    }
    human = (await cli.run("why", "c1")).out
    assert "connection refused" in human
    assert "A worker has been asking openai for" in human


async def test_a_parked_call_says_why_no_provider_can_take_it(cli: CommandLine, drive: Drive) -> None:
    await announce(drive, "ollama", "openai")
    opened = await drive.open(request=REQUEST, opts='{"spend":"never"}', deadline_ms=600_000)
    run = await drive.begin(sent=opened.number("sent"))
    await drive.ledger.hop(
        "c1", epoch=run.number("epoch"), turn=run.number("turn"), token="t", tried="ollama", until_ms=60_000
    )
    told = (await cli.run("why", "c1", "--json")).json
    assert told["state"] == "parked"
    assert 0 < told["next_look_ms"] <= 60_000
    assert "ollama: was tried in this round; openai: the call's policy does not allow it" in told["why"]


async def test_an_ended_call_shows_how_it_ended(cli: CommandLine, drive: Drive) -> None:
    await drive.open(request=REQUEST)
    await take(drive, "c1", {"reason": SECRET})
    told = (await cli.run("why", "c1", "--json")).json
    assert (told["state"], told["why"]) == ("done", "It was answered by ollama.")
    assert (told["outcome"]["status"], told["outcome"]["total_ms"]) == ("done", 15)
    assert [attempt["what"] for attempt in told["attempts"]] == ["answered"]


@pytest.mark.parametrize("options", [(), ("--json",)], ids=["human", "json"])
async def test_nothing_that_a_user_wrote_is_shown(cli: CommandLine, drive: Drive, options: tuple[str, ...]) -> None:
    await drive.open("open", request=REQUEST, opts='{"key":"chat:77","user_id":"u-4711"}')
    await drive.open("ended", request=REQUEST)
    await take(drive, "ended", {"reason": SECRET})
    for call_id in ("open", "ended"):
        ran = await cli.run("why", call_id, *options)
        assert ran.status == 0
        assert not [word for word in (SECRET, "chat:77", "u-4711") if word in ran.out + ran.err]


@pytest.mark.parametrize("command", ["why", "cancel"])
async def test_an_unknown_call_is_exit_status_5(cli: CommandLine, command: str) -> None:
    ran = await cli.run(command, "nobody")
    assert (ran.status, ran.out) == (5, "")
    assert ran.err == "understudy: No call has this id, or its record has expired.\n"
    error = (await cli.run(command, "nobody", "--json")).json["error"]
    assert (error["type"], error["exit_status"]) == ("UnknownCall", 5)


async def test_a_record_of_another_version_is_refused_with_a_sentence(cli: CommandLine, drive: Drive) -> None:
    await drive.open("c1")
    await drive.redis.hset(drive.keys.call("c1"), "v", 99)
    ran = await cli.run("why", "c1")
    assert ran.status == 1
    assert "has format 99" in ran.err


async def test_cancel_ends_a_call_whoever_waits_for_it(cli: CommandLine, drive: Drive) -> None:
    await drive.open("c1", inbox="somebody")
    assert (await cli.run("cancel", "c1", "--json")).json == {"call_id": "c1", "state": "cancelled"}
    assert await drive.state("c1") == "X"
    assert (await cli.run("why", "c1")).out.startswith("moderation c1: cancelled\nIt was given up")
    assert [kind for _, kind, _ in await drive.events("somebody")] == ["failed"]


async def test_cancel_of_an_ended_call_changes_nothing_and_says_so(cli: CommandLine, drive: Drive) -> None:
    await drive.open("c1")
    await take(drive, "c1", {})
    ran = await cli.run("cancel", "c1")
    assert (ran.status, ran.err) == (1, "understudy: The call had ended already: it is done.\n")
    assert await drive.state("c1") == "D"
