"""A stand-in as a process: started, steered and ended from outside."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.raw_http import Heard, fetch
from workers.stand_in import Fate, StandInProcess, StandInProcessError

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).resolve().parents[2]
COMMAND = [sys.executable, "-m", "workers.stand_in"]
REQUEST = {"model": "m", "messages": [{"role": "user", "content": "hello there"}]}


def chat(process: StandInProcess) -> Heard:
    return asyncio.run(fetch(process.base_url + "/chat/completions", REQUEST))


def until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + 15
    while not holds():
        assert time.monotonic() < end, "it did not come to hold in time"
        time.sleep(0.05)


def lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # A process whose parent has not looked yet is gone all the same.
    state = Path(f"/proc/{pid}/stat")
    return not (state.exists() and ") Z " in state.read_text())


def test_its_fate_changes_while_it_runs_and_it_counts() -> None:
    with StandInProcess(name="openai", fate=Fate(code="insufficient_quota")) as process:
        assert chat(process).status == 429
        process.set_fate(Fate(refuse=True))
        with pytest.raises(ConnectionRefusedError):
            chat(process)
        process.set_fate(Fate(latency_ms=(1, 5)))
        assert chat(process).headers["x-understudy-stand-in"] == "openai"
        counts = process.counts()
        assert counts["chat"]["outcomes"] == {"status_429": 1, "answered": 1}
        assert len(counts["records"]) == 2
        process.clear_counts()
        assert process.counts(records=False)["chat"]["total"] == 0


def test_killed_or_stopped_it_comes_back_at_the_same_address_with_its_fate() -> None:
    process = StandInProcess(fate=Fate(status=503))
    try:
        address = process.start().base_url
        for end in (process.kill, process.stop):
            end()
            assert not process.running
            with pytest.raises(ConnectionRefusedError):
                chat(process)
            with pytest.raises(StandInProcessError, match="not running"):
                process.counts()
            process.start()
            assert process.base_url == address
            assert chat(process).status == 503
    finally:
        process.stop()


def test_the_admin_address_refuses_a_wrong_fate_in_one_sentence() -> None:
    with StandInProcess() as process:
        heard = asyncio.run(fetch(process.admin_url + "/healthz"))
        assert heard.json == {"name": "ollama", "base_url": process.base_url, "ok": True}
        assert asyncio.run(fetch(process.admin_url + "/fate")).json == Fate().to_json()
        with pytest.raises(StandInProcessError, match=r"422: .*fate 'stauts' is unknown"):
            process._ask("PUT", "/fate", {"stauts": 503})


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_at_once_also_with_silent_requests(number: signal.Signals) -> None:
    command = [*COMMAND, "--fate", "silence"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        said = json.loads(child.stdout.readline())
        assert said["pid"] == child.pid

        async def ask_and_signal() -> Heard:
            waiting = asyncio.create_task(fetch(said["base_url"] + "/chat/completions", REQUEST))
            async with asyncio.timeout(10):
                while (await fetch(said["admin_url"] + "/counts")).json["chat"]["now"] == 0:  # noqa: ASYNC110
                    await asyncio.sleep(0.02)
            child.send_signal(number)
            return await waiting

        assert asyncio.run(ask_and_signal()).raw == b""
        assert child.wait(10) == 0


def test_it_ends_by_itself_when_its_parent_is_killed() -> None:
    program = (
        "import sys; from workers.stand_in import StandInProcess; "
        "process = StandInProcess().start(); print(process.pid, flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert lives(pid)
        parent.kill()
        parent.wait(10)
        until(lambda: not lives(pid))


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--fate", "stauts=503"], "fate 'stauts' is unknown"),
        (["--fate", "status=200"], "fate status must be a whole number from 400 to 599"),
        (["--host", "no.such.host.invalid"], "cannot use port 0 on no.such.host.invalid"),
    ],
)
def test_a_wrong_argument_ends_it_with_one_clear_sentence(arguments: list[str], says: str) -> None:
    ended = subprocess.run([*COMMAND, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=20, check=False)
    assert ended.returncode != 0
    assert says in " ".join(ended.stderr.split())
    assert "Traceback" not in ended.stderr
    assert ended.stdout == ""


def test_a_process_that_cannot_start_is_told() -> None:
    with StandInProcess() as first:
        port = int(first.base_url.split(":")[2].split("/")[0])
        with pytest.raises(StandInProcessError, match="did not start"):
            StandInProcess(port=port).start()
