"""`understudy remoderate` on the whole system: files in and out, stops and outages."""

from __future__ import annotations

import asyncio
import gzip
import json
import random
import signal
import subprocess
import sys
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.command_line import CommandLine
from tests.support.polling import aeventually, eventually
from tests.support.stack import Stack
from understudy.state.jobs import Jobs
from workers.stand_in import Fate

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from tests.support.command_line import Ran
    from workers.local_redis import Flavour

SETTINGS = {"UNDERSTUDY_SHUTDOWN_GRACE_S": "1", "OLLAMA_TIMEOUT": "10"}
WORKERS = {"ollama,openai,openai.batch": 8, "ollama.batch": 8}


@pytest.fixture(scope="module")
def batch_stack(tmp_path_factory: pytest.TempPathFactory, redis_flavour: Flavour) -> Iterator[Stack]:
    """One stack with batch workers, for the tests of this module."""
    with Stack(tmp_path_factory.mktemp("batch"), redis_flavour, workers=WORKERS, settings=SETTINGS) as stack:
        yield stack


@pytest.fixture
async def stack(batch_stack: Stack) -> Stack:
    """That stack, as new."""
    await batch_stack.renew()
    return batch_stack


class Job:
    """One job's files, and its command."""

    def __init__(self, stack: Stack, folder: Path, rows: Iterable[dict[str, Any]], *options: str) -> None:
        self.rows = list(rows)
        self.input, self.out = folder / "in.jsonl", folder / "out.jsonl"
        self.input.write_text("".join(json.dumps(row) + "\n" for row in self.rows))
        self.options = options
        settings = {name: value for name, value in stack.environment.items() if name != "REDIS_URL"}
        self.shell = CommandLine(folder, stack.environment["REDIS_URL"], **settings)

    def run(self, *more: str) -> Ran:
        """Run it to its end."""
        return self.shell("remoderate", str(self.input), "--out", str(self.out), *self.options, *more)

    @contextmanager
    def running(self, *more: str) -> Iterator[subprocess.Popen[str]]:
        """Run it beside the test."""
        args = ["remoderate", str(self.input), "--out", str(self.out), *self.options, *more]
        command = [sys.executable, "-m", "bot_client.cli", *args]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        with subprocess.Popen(command, env=self.shell.env, cwd=self.shell.folder, **pipes) as process:  # type: ignore[call-overload]
            try:
                yield process
            finally:
                process.kill()

    def verdicts(self) -> list[dict[str, Any]]:
        """What the output holds; every line is whole."""
        data = self.out.read_bytes() if self.out.exists() else b""
        return [json.loads(line) for line in data.splitlines(keepends=True) if line.endswith(b"\n")]

    def wait_for(self, rows: int) -> None:
        """Wait until the output has so many."""
        eventually(lambda: len(self.verdicts()) >= rows, limit_s=60)

    def assert_complete(self) -> None:
        """One verdict for each row, and no row twice."""
        ids = Counter(row["id"] for row in self.verdicts())
        assert set(ids) == {row["id"] for row in self.rows}
        assert set(ids.values()) == {1}


def messages(count: int) -> list[dict[str, Any]]:
    """Rows of different texts."""
    return [{"id": f"m{number}", "text": f"Message number {number} about bread"} for number in range(count)]


async def test_a_packed_file_gives_one_verdict_for_each_row_and_again_nothing_is_asked(
    stack: Stack, tmp_path: Path
) -> None:
    rows = [*messages(20), {"id": "same", "text": messages(1)[0]["text"]}, {"id": "empty", "text": ""}]
    job = Job(stack, tmp_path, rows, "--window", "6")
    packed = tmp_path / "in.jsonl.gz"
    packed.write_bytes(gzip.compress(job.input.read_bytes() + b'{"id": "m1", "text": "twice"}\nno json\n'))
    job.input = packed
    ran = job.run()
    assert ran.status == 1, ran.err
    job.assert_complete()
    by_id = {row["id"]: row for row in job.verdicts()}
    assert (by_id["m1"]["verdict"], by_id["m1"]["provider"], by_id["m1"]["source"]) == ("none", "ollama", "asked")
    assert (by_id["same"]["source"], by_id["empty"]["error"]["cause"]) == ("same_text", "invalid")
    rejected = [json.loads(line) for line in (tmp_path / "out.jsonl.rejected.jsonl").read_text().splitlines()]
    assert [(row["line"], row["why"]) for row in rejected] == [
        (23, "Its id is that of line 2."),
        (24, "It is no JSON object."),
    ]
    assert "1 rows failed (1 invalid)" in ran.err
    assert stack.requests() == 20
    before = job.out.read_bytes()
    assert job.run().status == 1
    assert (job.out.read_bytes(), stack.requests()) == (before, 20)
    strict = job.run("--strict", "--restart")
    assert (strict.status, "line 23: Its id is that of line 2" in strict.err) == (2, True)


async def test_standard_input_and_failed_rows_alone(stack: Stack, tmp_path: Path) -> None:
    job = Job(stack, tmp_path, messages(3), "--spend", "never")
    stack.ollama.set_fate(Fate(status=400))
    data = job.input.read_bytes()
    ran = job.shell("remoderate", "-", "--out", str(job.out), stdin=data)
    assert ran.status == 1, ran.err
    assert [row["error"]["cause"] for row in job.verdicts()] == ["rejected"] * 3
    stack.ollama.set_fate(Fate())
    other = job.shell("remoderate", "-", "--out", str(job.out), "--retry-failed", "--cause", "deadline", stdin=data)
    assert other.status == 1, other.err
    again = job.shell("remoderate", "-", "--out", str(job.out), "--retry-failed", stdin=data)
    assert again.status == 0, again.err
    job.assert_complete()
    assert {row["verdict"] for row in job.verdicts()} == {"none"}


async def test_a_second_run_at_once_is_refused_and_ctrl_c_leaves_whole_lines_to_go_on_from(
    stack: Stack, tmp_path: Path
) -> None:
    job = Job(stack, tmp_path, messages(120), "--window", "4")
    with job.running("--rate", "5/s") as process:
        eventually(lambda: len(job.verdicts()) > 2, limit_s=60)
        second = job.run()
        assert (second.status, "being written by another run" in second.err) == (2, True)
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=60)
        assert process.returncode == 130, out
    done = len(job.verdicts())
    assert 2 < done < 120
    assert job.out.read_bytes().endswith(b"\n")
    assert job.run().status == 0
    job.assert_complete()
    assert stack.requests() == 120


@pytest.mark.parametrize(("rows", "most"), [(120, 2), pytest.param(3_000, 10, marks=pytest.mark.soak)])
async def test_inputs_are_outputs_whatever_is_killed(stack: Stack, tmp_path: Path, rows: int, most: int) -> None:
    stack.ollama.set_fate(Fate(latency_ms=50))
    job, chance, kills = Job(stack, tmp_path, messages(rows), "--window", "8"), random.Random(7), 0
    worker = stack.workers["ollama.batch"]
    while kills < most:
        with job.running() as process:
            step = rows // (most + 2)
            until = len(job.verdicts()) + chance.randint(step // 2, step)
            job.wait_for(until)
            if kills % 2:
                worker.kill()
                worker.start()
            process.kill()
        kills += 1
    ran = job.run()
    assert ran.status == 0, ran.err
    job.assert_complete()
    repeated = stack.requests() - rows
    print(f"kills: {kills}, rows: {rows}, repeated requests: {repeated}")
    # A command that dies costs no request: its rows are found again. A worker takes what it runs with it: each of those
    # rows is asked once more.
    assert repeated <= WORKERS["ollama.batch"] * (kills // 2)
    assert max(row["attempts"] for row in job.verdicts()) <= 1 + kills // 2


@pytest.mark.parametrize("outage_s", [3, pytest.param(30, marks=pytest.mark.soak)])
async def test_defer_waits_out_an_outage_and_pays_nothing(stack: Stack, tmp_path: Path, outage_s: float) -> None:
    stack.ollama.set_fate(Fate(latency_ms=50))
    job = Job(stack, tmp_path, messages(120), "--window", "4")
    with job.running() as process:
        job.wait_for(20)
        stack.ollama.set_fate(Fate(status=500))
        async with stack.look() as look:
            jobs = Jobs(look.redis, look.keys)

            async def waits() -> str:
                (latest,) = [found for found in await jobs.latest() if found.name == "in.jsonl" and not found.ended]
                assert latest.state == "waiting"
                return latest.why

            why = await aeventually(waits, limit_s=60)
            assert why.startswith("ollama: its breaker is open")
        await asyncio.sleep(outage_s)
        stack.ollama.set_fate(Fate(latency_ms=10))
        out, _ = process.communicate(timeout=120)
        assert process.returncode == 0, out
    job.assert_complete()
    assert {row["provider"] for row in job.verdicts()} == {"ollama"}
    assert stack.counts("openai")["total"] == 0


@pytest.mark.parametrize("outage_s", [3, pytest.param(30, marks=pytest.mark.soak)])
async def test_allow_goes_on_with_the_paid_one_but_never_past_its_budget(
    stack: Stack, tmp_path: Path, outage_s: float
) -> None:
    stack.ollama.set_fate(Fate(status=500))
    job = Job(stack, tmp_path, messages(60), "--window", "4", "--spend", "allow", "--budget-usd", "0.003")
    with job.running() as process:
        job.wait_for(4)
        await aeventually(lambda: stack.running("openai") == 0, limit_s=60)
        await asyncio.sleep(outage_s)
        stack.ollama.set_fate(Fate(latency_ms=10))
        out, _ = process.communicate(timeout=120)
        assert process.returncode == 0, out
    job.assert_complete()
    rows = job.verdicts()
    cost = sum(row["cost_microusd"] for row in rows)
    print(f"paid rows: {sum(row['provider'] == 'openai' for row in rows)}, cost: {cost} of 3000")
    assert {row["provider"] for row in rows} == {"ollama", "openai"}
    assert 0 < cost <= 3_000


async def test_an_operator_pauses_resumes_and_cancels_a_job(stack: Stack, tmp_path: Path) -> None:
    job = Job(stack, tmp_path, messages(150), "--window", "2", "--name", "steered")
    by = {"who": "ann", "why": "the rules are wrong"}
    async with stack.look() as look:
        jobs = Jobs(look.redis, look.keys)
        with job.running("--rate", "5/s") as process:
            eventually(lambda: len(job.verdicts()) > 3, limit_s=60)
            (mine,) = [found for found in await jobs.latest() if found.name == "steered"]
            await jobs.pause(mine.id, **by)

            async def paused() -> bool:
                told = (await jobs.get(mine.id)).progress
                return bool(told["in_flight"] == 0 and told["state"] == "paused")

            await aeventually(paused, limit_s=60)
            held = len(job.verdicts())
            await jobs.resume(mine.id, **by)
            await jobs.set_window(mine.id, 6, **by)
            eventually(lambda: len(job.verdicts()) > held + 2, limit_s=60)
            await jobs.cancel(mine.id, **by)
            out, _ = process.communicate(timeout=60)
            assert process.returncode == 1, out
            assert "was cancelled by ann" in out
        assert (await jobs.get(mine.id)).state == "cancelled"
    assert job.run().status == 0
    job.assert_complete()
    assert stack.requests() == 150
