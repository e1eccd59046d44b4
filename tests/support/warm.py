"""Programs that start fast: modules are loaded once for the tests of a process, and each program is a fork of that.

What starts is a process of its own in a group of its own, with its own environment, folder and files, as if by
`python -m`; only the loading of libraries is shared, which is most of what a worker or a command costs.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from workers.leash import LeashedProcess, watch

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ROOT = Path(__file__).resolve().parents[2]


class WarmProcess:
    """A program that runs; the part of `subprocess.Popen` that tests use."""

    def __init__(self, told: int) -> None:
        self._told = told
        self._ended: int | None = None
        self._lock = threading.Lock()
        self.pid = self._number()

    def poll(self) -> int | None:
        """How it ended, negative for a signal; None while it runs."""
        with self._lock:
            if self._ended is None and select.select([self._told], [], [], 0)[0]:
                self._ended = os.waitstatus_to_exitcode(self._number())
                os.close(self._told)
        return self._ended

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end.

        Raises:
            subprocess.TimeoutExpired: it still runs.
        """
        if self._ended is None:
            select.select([self._told], [], [], timeout)
        code = self.poll()
        if code is None:
            raise subprocess.TimeoutExpired("a warm process", timeout or 0)
        return code

    def kill(self) -> None:
        """End it and its children with SIGKILL."""
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)

    def _number(self) -> int:
        data = os.read(self._told, 4)
        assert len(data) == 4, "the process that starts programs has ended"
        (number,) = struct.unpack("i", data)
        return int(number)


class Warm:
    """Starts programs that use the same modules.

    Args:
        modules: what is loaded for them; nothing that reads the environment while it is loaded.
    """

    def __init__(self, *modules: str) -> None:
        self._modules = modules
        self._lock = threading.Lock()
        self._server: subprocess.Popen[bytes] | None = None
        self._ask: socket.socket | None = None

    def start(
        self,
        module: str,
        args: Sequence[str],
        *,
        env: Mapping[str, str],
        cwd: Path,
        files: tuple[int, int, int],
    ) -> WarmProcess:
        """Start a program, like `python -m module args`.

        Args:
            env: its whole environment.
            files: its standard input, output and error.
        """
        request = {"module": module, "args": list(args), "env": dict(env), "cwd": str(cwd)}
        told, tell = os.pipe()
        try:
            with self._lock:
                asked, data = self._asked(), json.dumps(request).encode()
                socket.send_fds(asked, [struct.pack("i", len(data))], [*files, tell])
                asked.sendall(data)
        finally:
            os.close(tell)
        return WarmProcess(told)

    def stop(self) -> None:
        """Start no more programs; those that run go on."""
        if self._server and self._ask:
            self._ask.close()
            self._server.wait()
            self._server = self._ask = None

    def _asked(self) -> socket.socket:
        if self._ask is None:
            self._ask, theirs = socket.socketpair()
            command = [sys.executable, "-m", "tests.support.warm_server", str(theirs.fileno()), *self._modules]
            env = {**os.environ, "PYTHONPATH": str(ROOT)}
            with theirs:
                self._server = subprocess.Popen(
                    command, env=env, cwd=ROOT, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL
                )
        return self._ask


COMMANDS = Warm("bot_client.cli.root", "bot_client.cli.installation", "bot_client.client", "redis.asyncio", "rich.live")
"""For the command line."""

WORKERS = Warm(
    "celery.bin.celery",
    "celery.apps.worker",
    "celery.app.log",
    "celery.backends.redis",
    "kombu.transport.redis",
    "openai.resources.chat",
    "workers.runtime",
    "workers.pool",
    "workers.consumer",
)
"""For workers."""


class LeashedCelery(LeashedProcess):
    """`celery` with these arguments, as a child that cannot outlive the tests.

    Args:
        env: its whole environment.
        output: a file descriptor for what it prints.
    """

    def __init__(self, args: Sequence[str], env: Mapping[str, str], output: int) -> None:
        with Path(os.devnull).open("rb") as nothing:
            files = (nothing.fileno(), output, output)
            process = WORKERS.start("celery", args, env=env, cwd=Path.cwd(), files=files)
        self._process = process  # type: ignore[assignment]
        self._watch = watch(process.pid)


def stop_all() -> None:
    """At the end of the tests of a process."""
    COMMANDS.stop()
    WORKERS.stop()
