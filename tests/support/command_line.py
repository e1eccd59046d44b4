"""Runs the command line as a user does: in a process of its own."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Any

from tests.support.warm import COMMANDS
from understudy.contracts.call import AnyOutcome, Attempt, Status

if TYPE_CHECKING:
    from tests.support.ledger import Drive
from tests.support.polling import aeventually

ROOT = Path(__file__).parents[2]
LIMIT_S = 60
NOWHERE = "http://127.0.0.1:9"
"""The discard port, where nobody listens."""

_OURS = ("UNDERSTUDY_", "OLLAMA_", "OPENAI_", "LLM_", "REDIS_URL", "BROKER_URL", "COLUMNS", "NO_COLOR", "FORCE_COLOR")
_COMMAND = (sys.executable, "-m", "bot_client.cli")


@dataclass(frozen=True)
class Ran:
    """How a command ended."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one document on standard output."""
        return json.loads(self.out)


PRICES = '{"m": {"input": 0.15, "output": 0.6, "date": "2026-11-01"}}'


class CommandLine:
    """The command line with settings of its own; both providers have the model `m`.

    Args:
        folder: where it runs: without a file `.env`.
        redis_url: its Redis.
        settings: more variables.
    """

    def __init__(self, folder: Path, redis_url: str, **settings: str) -> None:
        self.folder = folder
        kept = {name: value for name, value in os.environ.items() if not name.startswith(_OURS) or "TEST" in name}
        self.env = {
            **kept,
            "PYTHONPATH": str(ROOT),
            "REDIS_URL": redis_url,
            "OLLAMA_URL": NOWHERE,
            "OLLAMA_MODEL_NAME": "m",
            "OPENAI_BASE_URL": NOWHERE,
            "OPENAI_MODEL_NAME": "m",
            "OPENAI_API_KEY": "sk-of-the-tests",
            "UNDERSTUDY_PRICES": PRICES,
            **settings,
        }

    def __call__(self, *args: str, stdin: bytes = b"") -> Ran:
        """Run one command to its end."""
        with TemporaryFile() as given, TemporaryFile() as out, TemporaryFile() as err:
            given.write(stdin)
            given.seek(0)
            files = (given.fileno(), out.fileno(), err.fileno())
            process = COMMANDS.start("bot_client.cli", args, env=self.env, cwd=self.folder, files=files)
            try:
                status = process.wait(LIMIT_S)
            finally:
                process.kill()
            out.seek(0)
            err.seek(0)
            return Ran(status, out.read().decode(), err.read().decode())

    async def run(self, *args: str, stdin: bytes = b"") -> Ran:
        """Run one command to its end, while the test's own loop goes on."""
        return await asyncio.to_thread(self, *args, stdin=stdin)

    async def start(self, *args: str) -> asyncio.subprocess.Process:
        """Start one command; `ended` waits for it."""
        pipe = asyncio.subprocess.PIPE
        return await asyncio.create_subprocess_exec(
            *_COMMAND, *args, stdin=asyncio.subprocess.DEVNULL, stdout=pipe, stderr=pipe, env=self.env, cwd=self.folder
        )


async def ended(process: asyncio.subprocess.Process) -> Ran:
    """How a command that was started has ended."""
    async with asyncio.timeout(LIMIT_S):
        out, err = await process.communicate()
    assert process.returncode is not None
    return Ran(process.returncode, out.decode(), err.decode())


async def announce(drive: Drive, *queues: str, worker: str = "w1", version: str = "0.1.0") -> None:
    """A worker that consumes these queues, alive for as long as the test."""
    fields: dict[Any, Any] = {
        "queues": ",".join(queues),
        "concurrency": 16,
        "host": "h",
        "pid": 1,
        "version": version,
    }
    await drive.redis.hset(drive.keys.worker(worker), mapping=fields)
    seconds, _ = await drive.redis.time()
    await drive.redis.zadd(drive.keys.workers(), {worker: (seconds + 3600) * 1000})


async def waiting(drive: Drive, queue: str = "ollama") -> str | None:
    """The first call that waits in a queue."""
    ids: Any = await drive.redis.zrange(drive.keys.waiting(queue), 0, 0)
    return ids[0] if ids else None


async def arrived(drive: Drive, queue: str = "ollama") -> str:
    """The first call that waits in a queue, once there is one."""

    async def look() -> str:
        return await waiting(drive, queue) or ""

    return await aeventually(look)


async def take(drive: Drive, call_id: str, result: dict[str, Any] | None = None, **outcome: Any) -> None:
    """Play the worker: begin a call, and answer it or end it as `outcome` says."""
    record = await drive.ledger.record(call_id)
    assert record is not None
    run = await drive.begin(call_id, provider=record.provider, sent=record.sent)
    given: dict[str, Any] = {
        "call_id": call_id, "kind": record.kind, "status": Status.DONE, "result": result, "provider": record.provider,
        "model": "m", "attempts": [Attempt(provider=record.provider, model="m", what="answered", ms=12, requests=1)],
        "queued_ms": 3, "total_ms": 15,
    } | outcome  # fmt: skip
    text = AnyOutcome(**given).model_dump_json()
    letter = {Status.DONE: "D", Status.FAILED: "F"}[given["status"]]
    await drive.finish(run, call_id, st=letter, outcome=text, reason=given.get("reason"))
