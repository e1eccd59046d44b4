"""`understudy moderate`, `name` and `ask`: calls that are really queued, answered by a worker that the test plays."""

from __future__ import annotations

import asyncio
import json
import signal
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.command_line import CommandLine, Ran, announce, arrived, ended, take, waiting
from tests.support.ledger import Drive
from understudy.contracts.call import Attempt, Status

if TYPE_CHECKING:
    from pathlib import Path

    from redis.asyncio import Redis

VERDICT = {
    "helpful": False, "violation": "spam", "quality_score": 1, "action": "delete", "reason": "It advertises a prize.",
    "needs_review": False,
}  # fmt: skip
FAILED = [Attempt(provider="ollama", model="m", what="refused", ms=7, requests=1)]


@pytest.fixture
async def drive(redis: Redis) -> Drive:
    drive = Drive(redis, "u:")
    await announce(drive, "ollama", "openai")
    return drive


@pytest.fixture
def cli(tmp_path: Path, redis_url: str) -> CommandLine:
    return CommandLine(tmp_path, redis_url)


async def answered(
    cli: CommandLine, drive: Drive, *args: str, result: dict[str, Any] | None = None, **outcome: Any
) -> Ran:
    """Run a command, and answer its call once it waits."""
    asking = asyncio.create_task(cli.run(*args))
    call_id = await arrived(drive)
    await take(drive, call_id, result, **outcome)
    return await asking


async def test_a_verdict_goes_to_standard_output_and_who_gave_it_to_standard_error(
    cli: CommandLine, drive: Drive
) -> None:
    ran = await answered(cli, drive, "moderate", "You have won!", result=VERDICT)
    assert ran.status == 0
    assert ran.out.splitlines() == [
        "action: delete", "violation: spam", "helpful: no", "quality: 1 of 10", "reason: It advertises a prize.",
    ]  # fmt: skip
    assert "ollama (m), 1 attempt, 15 ms, call " in ran.err


async def test_the_document_is_the_whole_outcome(cli: CommandLine, drive: Drive) -> None:
    ran = await answered(cli, drive, "moderate", "You have won!", "--json", result=VERDICT)
    assert (ran.status, ran.err) == (0, "")
    assert ran.json["result"] == VERDICT | {"screened": False}
    assert (ran.json["status"], ran.json["provider"], len(ran.json["attempts"])) == ("done", "ollama", 1)


async def test_a_name_is_one_line_that_a_script_can_take(cli: CommandLine, drive: Drive) -> None:
    ran = await answered(cli, drive, "name", "How do I bake bread?", "--max-length", "30", result={"name": "Baking"})
    assert (ran.status, ran.out) == (0, "Baking\n")


async def test_a_degraded_answer_says_that_no_provider_gave_it(cli: CommandLine, drive: Drive) -> None:
    ran = await answered(cli, drive, "name", "Bread", result={"name": "Bread"}, degraded=True, attempts=FAILED)
    assert ran.status == 0
    assert "no provider, a substitute, 1 attempt" in ran.err


async def test_an_answer_cannot_steer_the_terminal(cli: CommandLine, drive: Drive) -> None:
    result = {"text": "one\n\ttwo \x1b]0;owned\x07\x1b[2J", "finish_reason": "stop"}
    ran = await answered(cli, drive, "ask", "Hello?", "--system", "Be brief.", result=result)
    assert ran.status == 0
    assert ran.out == "one\n\ttwo \ufffd]0;owned\ufffd\ufffd[2J\n"


async def test_text_and_options_reach_the_ledger_and_text_comes_from_standard_input(
    cli: CommandLine, drive: Drive, tmp_path: Path
) -> None:
    (tmp_path / "rules.txt").write_text("Be kind. 日本\n", "utf-8")
    args = ("moderate", "-", "--rules", "rules.txt", "--deadline", "1m", "--spend", "never", "--local-only")
    cli.env["PYTHONIOENCODING"] = "utf-8"
    running = cli.run(*args, "--user", "u1", "--key", "k1", "--json", stdin="Grüße\n".encode())

    async def work() -> None:
        call_id = await arrived(drive)
        record = await drive.ledger.record(call_id)
        assert record is not None
        assert json.loads(record.request) == {"text": "Grüße", "rules": "Be kind. 日本", "user_id": "u1"}
        options = record.options
        assert (options.spend, options.local_only, options.user_id, options.key) == ("never", True, "u1", "k1")
        assert record.deadline - record.created == 60_000
        await take(drive, call_id, VERDICT)

    ran, _ = await asyncio.gather(running, work())
    assert ran.status == 0


@pytest.mark.parametrize(
    ("reason", "kind", "status"),
    [("deadline", "DeadlineExceeded", 3), ("no_provider", "AllProvidersFailed", 1), ("no_workers", "NoWorkers", 1)],
)
async def test_a_call_without_an_answer_has_a_status_of_its_own(
    cli: CommandLine, drive: Drive, reason: str, kind: str, status: int
) -> None:
    outcome: dict[str, Any] = {"status": Status.FAILED, "reason": reason, "attempts": FAILED}
    ran = await answered(cli, drive, "moderate", "secret words", **outcome)
    assert (ran.status, ran.out) == (status, "")
    assert ran.err.startswith("understudy: moderation ")
    assert ran.err.count("\n") == 1
    ran = await answered(cli, drive, "moderate", "secret words", "--json", **outcome)
    error = ran.json["error"]
    assert (ran.status, error["type"], error["exit_status"]) == (status, kind, status)
    assert error["attempts"][0]["what"] == "refused"
    assert len(error["call_id"]) == 36
    assert "secret words" not in ran.out + ran.err


async def test_ctrl_c_cancels_the_call(cli: CommandLine, drive: Drive) -> None:
    process = await cli.start("ask", "How long is a piece of string?")
    call_id = await arrived(drive)
    process.send_signal(signal.SIGINT)
    ran = await ended(process)
    assert (ran.status, ran.out) == (130, "")
    assert ran.err.strip() == "understudy: Interrupted."
    assert await drive.state(call_id) == "X"


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        (("moderate", ""), "moderation: text has 0 characters; at least 1"),
        (("name", "x", "--max-length", "2"), "thread_naming: max_length is 2; at least 3"),
        (("ask", "x", "--deadline", "2d"), "call: deadline_s is 172,800; at most 86,400"),
        (("ask", "x", "--local-only"), "call: local_only is true, but no provider of the settings is local."),
        (("moderate", "-", "--rules", "-"), "moderate: only one of TEXT and --rules can be standard input."),
        (("moderate", "x", "--rules", "none.txt"), "The file none.txt cannot be read: No such file or directory."),
    ],
)
async def test_an_invalid_request_is_exit_status_2_and_queues_nothing(
    cli: CommandLine, drive: Drive, args: tuple[str, ...], sentence: str
) -> None:
    cli.env["UNDERSTUDY_OLLAMA_LOCAL"] = "false"
    ran = await cli.run(*args)
    assert (ran.status, ran.out) == (2, "")
    assert sentence in ran.err
    assert await waiting(drive) is None


async def test_bytes_that_are_no_text_are_refused_without_being_repeated(cli: CommandLine, drive: Drive) -> None:
    ran = await cli.run("ask", "-", stdin=b"words \xff\xfe")
    assert (ran.status, ran.err) == (2, "understudy: Standard input must be UTF-8 text.\n")


async def test_redis_out_of_reach_is_exit_status_4(cli: CommandLine) -> None:
    cli.env["REDIS_URL"] = "redis://127.0.0.1:9/0"
    ran = await cli.run("moderate", "secret words")
    assert (ran.status, ran.out) == (4, "")
    assert ran.err.count("\n") == 1
    assert "secret words" not in ran.err
