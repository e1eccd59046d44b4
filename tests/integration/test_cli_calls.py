"""`understudy calls`, `call`, `pause`, `resume` and `audit`: told from what a real Redis holds."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.support.command_line import CommandLine, announce, take
from tests.support.ledger import Drive
from understudy.contracts.call import Attempt, Status

if TYPE_CHECKING:
    from pathlib import Path

    from redis.asyncio import Redis

SECRET = "the user's own words"
REQUEST = json.dumps({"text": SECRET})


@pytest.fixture
def cli(tmp_path: Path, redis_url: str) -> CommandLine:
    return CommandLine(tmp_path, redis_url)


@pytest.fixture
def drive(redis: Redis) -> Drive:
    return Drive(redis, "u:")


async def failed(drive: Drive, call_id: str, reason: str) -> None:
    await drive.open(call_id, request=REQUEST, deadline_ms=600_000)
    attempts = [Attempt(provider="ollama", model="m", what="refused", ms=7, requests=1)]
    await take(drive, call_id, status=Status.FAILED, reason=reason, attempts=attempts)


async def test_failed_calls_are_counted_by_cause_and_listed_newest_first(cli: CommandLine, drive: Drive) -> None:
    for call_id, reason in (("c1", "no_provider"), ("c2", "deadline"), ("c3", "no_provider"), ("c4", "quarantined")):
        await failed(drive, call_id, reason)
    await drive.open("open", request=REQUEST)
    told = (await cli.run("calls", "--json")).json
    assert {cause["reason"]: cause["calls"] for cause in told["causes"]} == {
        "no_provider": 2, "deadline": 1, "quarantined": 1,
    }  # fmt: skip
    assert told["open"] == 1
    calls = (await cli.run("calls", "--failed", "--json")).json["calls"]
    assert {call["call_id"] for call in calls} == {"c1", "c2", "c3", "c4"}
    assert [call["ended_ms"] for call in calls] == sorted(call["ended_ms"] for call in calls)
    (one,) = (await cli.run("calls", "--quarantined", "--json")).json["calls"]
    assert (one["call_id"], one["kind"], one["reason"], one["provider"]) == (
        "c4", "moderation", "quarantined", "ollama",
    )  # fmt: skip
    assert len((await cli.run("calls", "--cause", "no_provider", "--limit", "1", "--json")).json["calls"]) == 1
    human = await cli.run("calls", "--cause", "no_provider")
    assert human.status == 0
    assert human.out.count("every provider that was allowed to answer failed") == 2
    assert SECRET not in human.out


async def test_a_call_that_was_given_up_is_found_though_it_did_not_fail(cli: CommandLine, drive: Drive) -> None:
    for name in ("c1", "c2", "c3"):
        await drive.open(name, request=REQUEST)
    await cli.run("cancel", "c2")
    await cli.run("cancel", "c1")
    calls = (await cli.run("calls", "--cancelled", "--json")).json["calls"]
    assert [(call["call_id"], call["reason"]) for call in calls] == [("c1", "cancelled"), ("c2", "cancelled")]
    assert (await cli.run("calls", "--json")).json["causes"] == []


async def test_open_calls_are_those_that_wait_and_those_that_run(cli: CommandLine, drive: Drive) -> None:
    await announce(drive, "ollama")
    for name in ("c1", "c2", "c3"):
        sent = (await drive.open(name, request=REQUEST, deadline_ms=600_000)).number("sent")
    await drive.begin("c3", sent=sent, worker="w7")
    waiting = (await cli.run("calls", "--waiting", "--json")).json["calls"]
    assert [(call["call_id"], call["state"], call["queue"]) for call in waiting] == [
        ("c1", "queued", "ollama"),
        ("c2", "queued", "ollama"),
    ]
    (running,) = (await cli.run("calls", "--running", "--json")).json["calls"]
    assert (running["call_id"], running["worker"], running["requests"]) == ("c3", "w7", 1)
    assert running["running_ms"] >= 0
    assert "c3" in (await cli.run("calls", "--running")).out


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        (("--failed", "--running"), "Give one of --failed"),
        (("--cause", "weather"), "cause: there is no such cause; known are deadline, no_provider"),
        (("--limit", "0"), "0 is not in the range"),
    ],
)
async def test_wrong_usage_of_calls_is_exit_status_2(cli: CommandLine, args: tuple[str, ...], sentence: str) -> None:
    ran = await cli.run("calls", *args)
    assert (ran.status, ran.out) == (2, "")
    assert sentence in ran.err


async def test_a_call_shows_what_its_time_went_into(cli: CommandLine, drive: Drive) -> None:
    await announce(drive, "ollama", "openai")
    run = await drive.begin(sent=(await drive.open(request=REQUEST, deadline_ms=600_000)).number("sent"))
    begun = int(run.number("now"))
    attempt = Attempt(provider="ollama", model="m", what="refused", at_ms=begun, ms=1, requests=1)
    moved = await drive.fail_over(run, attempt=attempt)
    await drive.begin(provider="openai", sent=moved.number("sent"), worker="w7")
    told = (await cli.run("call", "c1", "--json")).json
    bars = told["bars"]
    assert [bar["label"] for bar in bars if not bar["label"].startswith("waits")] == ["asks ollama", "asks openai"]
    assert [bar["end_ms"] for bar in bars[:-1]] == [bar["start_ms"] for bar in bars[1:]]
    assert (bars[0]["start_ms"], bars[-1]["what"], bars[-1]["end_ms"]) == (0, "running", told["total_ms"])
    ran = await cli.run("call", "c1")
    assert ran.status == 0
    assert "connection refused" in ran.out
    assert SECRET not in ran.out
    assert (await cli.run("call", "nobody")).status == 5


async def test_a_paused_queue_lets_nothing_begin_until_it_is_resumed(cli: CommandLine, drive: Drive) -> None:
    await announce(drive, "ollama", "openai")
    ran = await cli.run("pause", "ollama", "--for", "30m", "--why", "a new GPU", "--who", "anna")
    assert ran.out.startswith("Nothing begins on the queue ollama for 30 min.")
    opened = await drive.open("c1")
    assert (await drive.begin("c1", sent=opened.number("sent"))).word == "denied"
    (queue,) = (q for q in (await cli.run("status", "--json")).json["queues"] if q["name"] == "ollama")
    assert queue["paused_why"] == "a new GPU"
    assert 0 < queue["paused_ms"] <= 1_800_000
    assert (await cli.run("resume", "ollama", "--json")).json == {"queue": "ollama", "was_paused": True}
    assert "was not paused" in (await cli.run("resume", "ollama")).out
    assert await drive.redis.get(drive.keys.paused("ollama")) is None


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        (("llama", "--for", "1m", "--why", "x"), "pause: there is no queue 'llama'; the queues are ollama, ollama.b"),
        (("ollama", "--for", "2d", "--why", "x"), "pause: for_s is 172800; 1 to 86400 seconds are allowed."),
        (("ollama", "--for", "1m", "--why", " "), "pause: why must be text of 1 to 200 characters."),
        (("ollama", "--why", "x"), "Missing option '--for'."),
    ],
)
async def test_a_wrong_pause_is_exit_status_2_and_changes_nothing(
    cli: CommandLine, drive: Drive, args: tuple[str, ...], sentence: str
) -> None:
    ran = await cli.run("pause", *args)
    assert ran.status == 2
    assert sentence in ran.err
    assert [key async for key in drive.redis.scan_iter("u:paused:*")] == []


async def test_the_audit_log_has_what_was_done_by_whom_and_why(cli: CommandLine, drive: Drive) -> None:
    assert (await cli.run("audit")).out == "No operator has done anything yet.\n"
    await drive.open("c1")
    await cli.run("force", "openai", "--for", "30m", "--why", "a new GPU", "--who", "anna")
    await cli.run("unforce", "--who", "ben")
    await cli.run("clear", "ollama", "--who", "ben", "--why", "it answers again")
    await cli.run("cancel", "c1", "--who", "ben")
    await cli.run("unforce", "--who", "ben")  # there is nothing left to take back
    entries = (await cli.run("audit", "--json")).json["entries"]
    assert [(entry["who"], entry["what"], entry["why"]) for entry in entries] == [
        ("ben", "cancel c1", "not said"),
        ("ben", "clear ollama", "it answers again"),
        ("ben", "unforce", "not said"),
        ("anna", "force openai 30m", "a new GPU"),
    ]
    assert len((await cli.run("audit", "--limit", "2", "--json")).json["entries"]) == 2
    assert "force openai 30m" in (await cli.run("audit")).out


async def test_without_a_name_the_log_has_the_user_of_the_machine(cli: CommandLine) -> None:
    cli.env["LOGNAME"] = "carla"
    await cli.run("pause", "openai", "--for", "1m", "--why", "x")
    (entry,) = (await cli.run("audit", "--json")).json["entries"]
    assert (entry["who"], entry["what"]) == ("carla", "pause openai 1m")
