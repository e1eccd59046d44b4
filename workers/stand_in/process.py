"""A stand-in as a child process, steered from synchronous code."""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self
from urllib.parse import urlsplit

from workers.stand_in.fate import Fate

if TYPE_CHECKING:
    from types import TracebackType

ROOT: Final = Path(__file__).resolve().parents[2]
START_S: Final = 20.0
STOP_S: Final = 5.0
ADMIN_S: Final = 5.0


class StandInProcessError(RuntimeError):
    """The process did not start, or does not answer."""


class StandInProcess:
    """Starts `python -m workers.stand_in`; it ends with this process, however this one ends.

    Args:
        name: whose place it takes.
        model: the one it lists.
        fate: what goes wrong, until `set_fate`.
        host: the address to listen on.
        port: 0 takes a free one at the first start, and the same one at later starts.
        admin_port: likewise.
        seed: of every draw.
    """

    def __init__(
        self,
        name: str = "ollama",
        model: str = "llama3.2",
        fate: Fate | None = None,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        admin_port: int = 0,
        seed: int = 0,
    ) -> None:
        self.name = name
        self.model = model
        self.fate = fate or Fate()
        self.base_url = ""
        self.admin_url = ""
        self._host = host
        self._port = port
        self._admin_port = admin_port
        self._seed = seed
        self._child: subprocess.Popen[str] | None = None
        # Without the proxies of the environment, which know nothing of our loopback.
        self._admin = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    @property
    def pid(self) -> int | None:
        """Of the running process."""
        return self._child.pid if self._child is not None else None

    @property
    def running(self) -> bool:
        """Whether the process lives."""
        return self._child is not None and self._child.poll() is None

    def start(self) -> Self:
        """Start it and wait until it listens.

        Raises:
            StandInProcessError: it is running already, or ended or was silent instead of listening.
        """
        if self.running:
            raise StandInProcessError(f"the stand-in for {self.name} is running already")
        self._child = subprocess.Popen(self._command(), cwd=ROOT, stdout=subprocess.PIPE, text=True)
        line = _first_line(self._child, START_S)
        try:
            said = json.loads(line)
        except ValueError:
            self.kill()
            raise StandInProcessError(
                f"the stand-in for {self.name} did not start; see what it wrote to stderr"
            ) from None
        self.base_url, self.admin_url = said["base_url"], said["admin_url"]
        self._port, self._admin_port = urlsplit(self.base_url).port or 0, urlsplit(self.admin_url).port or 0
        return self

    def stop(self) -> None:
        """End it by SIGTERM, or by SIGKILL if that takes too long."""
        if self._child is None:
            return
        self._child.terminate()
        try:
            self._child.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._child.kill()
        self._reap()

    def kill(self) -> None:
        """End it by SIGKILL."""
        if self._child is not None:
            self._child.kill()
            self._reap()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def set_fate(self, fate: Fate) -> None:
        """Replace the fate; a later start keeps it.

        Raises:
            StandInProcessError: the process does not answer.
        """
        self._ask("PUT", "/fate", fate.to_json())
        self.fate = fate

    def counts(self, *, records: bool = True) -> dict[str, Any]:
        """What has come in since the start or the last `clear_counts`.

        Raises:
            StandInProcessError: the process does not answer.
        """
        counts: dict[str, Any] = self._ask("GET", "/counts" if records else "/counts?records=no")
        return counts

    def clear_counts(self) -> None:
        """Count from nothing.

        Raises:
            StandInProcessError: the process does not answer.
        """
        self._ask("DELETE", "/counts")

    def _command(self) -> list[str]:
        command = [sys.executable, "-m", "workers.stand_in", "--name", self.name, "--model", self.model]
        command += ["--host", self._host, "--port", str(self._port), "--admin-port", str(self._admin_port)]
        command += ["--seed", str(self._seed), "--parent", str(os.getpid())]
        for pair in self.fate.to_pairs():
            command += ["--fate", pair]
        return command

    def _reap(self) -> None:
        if self._child is not None:
            self._child.wait()
            if self._child.stdout is not None:
                self._child.stdout.close()
            self._child = None

    def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        if not self.running:
            raise StandInProcessError(f"the stand-in for {self.name} is not running")
        request = urllib.request.Request(self.admin_url + path, data, method=method)  # noqa: S310 (our own loopback)
        try:
            with self._admin.open(request, timeout=ADMIN_S) as response:
                answer = response.read()
        except urllib.error.HTTPError as error:
            message = error.read().decode(errors="replace")
            raise StandInProcessError(f"the stand-in for {self.name} answered {error.code}: {message}") from None
        except (OSError, ValueError) as error:
            raise StandInProcessError(f"the stand-in for {self.name} does not answer: {error}") from None
        return json.loads(answer) if answer else None


def _first_line(child: subprocess.Popen[str], limit_s: float) -> str:
    if child.stdout is None:
        return ""
    with selectors.DefaultSelector() as selector:
        selector.register(child.stdout, selectors.EVENT_READ)
        if not selector.select(limit_s):
            return ""
    return child.stdout.readline()
