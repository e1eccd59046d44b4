"""A provider, Redis and one worker process, each a process of its own, for measuring."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Self

from understudy.providers import providers_from
from understudy.settings import Settings, load_settings
from workers.leash import LeashedProcess
from workers.local_redis import LocalRedis
from workers.readiness import workers_consume
from workers.stand_in import Fate, StandInProcess

if TYPE_CHECKING:
    from understudy.providers import Provider

ROOT = Path(__file__).resolve().parents[1]
START_S = 60.0


class NotStarted(RuntimeError):
    """A part did not come up; the message is the end of its log."""


class OneWorker:
    """Everything that a call needs, with one worker process for one free provider.

    Args:
        fate: of the provider, which is a stand-in.
        concurrency: calls at once in the worker.
        more: settings.
    """

    def __init__(self, fate: Fate, concurrency: int, **more: str) -> None:
        self._fate = fate
        self._concurrency = concurrency
        self._more = more
        self._open = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as parts:
            folder = Path(parts.enter_context(TemporaryDirectory(prefix="understudy-")))
            self.stand_in = parts.enter_context(StandInProcess("ollama", "llama3.2", self._fate))
            self.redis = parts.enter_context(LocalRedis(folder / "redis", appendonly=False))
            given = {"OLLAMA_URL": self.stand_in.base_url, "REDIS_URL": self.redis.url(), **self._more}
            lowered: dict[str, Any] = {name.lower(): value for name, value in given.items()}
            self.settings = load_settings(env_file=None, **{"openai_api_key": None, "broker_url": None, **lowered})
            log = folder / "worker.log"
            self.worker = self._start_worker(folder, log, given)
            parts.callback(self.worker.kill)
            self._wait(log)
            self._open = parts.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    @property
    def provider(self) -> Provider:
        """The one provider."""
        return providers_from(self.settings)[0]

    def cpu_s(self) -> dict[str, float]:
        """What each process has used of a core so far, in seconds; this one has the clients in it."""
        pids = {"worker": self.worker.pid, "client": os.getpid(), "Redis": self.redis.pid}
        if self.stand_in.pid is not None:
            pids["stand-in"] = self.stand_in.pid
        return {name: cpu_s(pid) for name, pid in pids.items()}

    def _start_worker(self, folder: Path, log: Path, given: dict[str, str]) -> LeashedProcess:
        known = {field.upper() for field in Settings.model_fields}
        env = {name: value for name, value in os.environ.items() if name.upper() not in known}
        env |= {**given, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
        command = [sys.executable, "-m", "celery", "-A", "workers", "--workdir", str(folder), "worker", "-l", "INFO"]
        command += ["-Q", self.provider.queue, "-c", str(self._concurrency), "-n", "one@benchmark"]
        with log.open("wb") as output:
            return LeashedProcess(command, env=env, output=output.fileno())

    def _wait(self, log: Path) -> None:
        until = time.monotonic() + START_S
        while not workers_consume(self.settings, [self.provider], batch=False):
            if not self.worker.alive or time.monotonic() > until:
                raise NotStarted(log.read_text(encoding="utf-8", errors="replace")[-2000:])
            time.sleep(0.1)


def cpu_s(pid: int) -> float:
    """What a process has used of a core so far, in seconds."""
    stat = Path(f"/proc/{pid}/stat")
    if stat.exists():
        fields = stat.read_text(encoding="utf-8").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / float(os.sysconf("SC_CLK_TCK"))
    said = subprocess.run(["/bin/ps", "-o", "time=", "-p", str(pid)], capture_output=True, text=True, check=True).stdout
    total = 0.0
    for part in said.strip().replace("-", ":").split(":"):
        total = total * 60 + float(part)
    return total
