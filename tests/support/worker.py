"""A real worker: the plain Celery command in a process that a test may kill, freeze, end and start again."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support.warm import LeashedCelery
from understudy.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from workers.leash import LeashedProcess

ROOT = Path(__file__).resolve().parents[2]
LOG_TAIL = 4_000


class Worker:
    """`celery -A workers worker -Q queues -c concurrency`.

    Args:
        directory: where it runs and logs; not the checkout, whose `.env` is its owner's.
        name: of the worker and its log.
        queues: separated by commas.
        environment: the settings of its installation.
    """

    def __init__(
        self, directory: Path, name: str, queues: str, concurrency: int, environment: Mapping[str, str]
    ) -> None:
        self.name = name
        self.queues = queues.split(",")
        self.concurrency = concurrency
        self.log = directory / f"{name}.log"
        self._directory = directory
        known = {field.upper() for field in Settings.model_fields}
        self._env = {key: value for key, value in os.environ.items() if key.upper() not in known}
        self._env |= {**environment, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
        self._args = ["-A", "workers", "--workdir", str(directory), "worker"]
        self._args += ["-Q", queues, "-c", str(concurrency), "-n", f"{name}@test", "-l", "INFO"]
        if queues.endswith(".batch"):
            self._args += ["--prefetch-multiplier", "2"]  # as `make up` starts them
        self._process: LeashedProcess | None = None

    @property
    def alive(self) -> bool:
        """Whether its process runs, or is frozen."""
        return self._process is not None and self._process.alive

    @property
    def pid(self) -> int:
        """The process id."""
        return self._started().pid

    def start(self) -> None:
        """Start the process; `Stack.announced` tells when it consumes."""
        with self.log.open("ab") as output:
            self._process = LeashedCelery(self._args, self._env, output.fileno())

    def kill(self) -> None:
        """SIGKILL."""
        if self._process:
            self._process.kill()

    def freeze(self) -> None:
        """SIGSTOP: it holds its connections and does nothing."""
        self._started().signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT."""
        self._started().signal(signal.SIGCONT)

    def terminate(self) -> None:
        """SIGTERM, without waiting."""
        os.kill(self.pid, signal.SIGTERM)

    async def ended(self, limit_s: float = 60) -> int:
        """Wait until it has ended by itself; its exit status."""
        process = self._started()
        assert await asyncio.to_thread(process.wait, limit_s), f"{self.name} still runs after {limit_s} s"
        code = process.exit_code
        assert code is not None
        process.kill()  # the shell that watches it
        return code

    def text(self) -> str:
        """All that it logged, over all its lives."""
        return self.log.read_text(encoding="utf-8", errors="replace") if self.log.exists() else ""

    def tail(self) -> str:
        """The end of its log, for a test that failed."""
        return f"--- {self.name}, {time.strftime('%X')} ---\n{self.text()[-LOG_TAIL:]}"

    def _started(self) -> LeashedProcess:
        assert self._process is not None, f"{self.name} was never started"
        return self._process
