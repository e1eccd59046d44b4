"""`python -m workers.up` and the demo, as processes with settings of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from tests.support.leftovers import leftovers
from tests.support.polling import eventually

if TYPE_CHECKING:
    import signal
    from types import TracebackType

ROOT = Path(__file__).resolve().parents[2]
UP = (sys.executable, "-m", "workers.up")
DEMO = (sys.executable, str(ROOT / "examples" / "demo.py"))
LIMIT_S = 90
NOWHERE = "http://127.0.0.1:9"
"""The discard port, where nobody listens."""

_OURS = ("UNDERSTUDY_", "OLLAMA_", "OPENAI_", "LLM_", "FLOWER_", "REDIS_URL", "BROKER_URL", "COLUMNS", "FORCE_COLOR")


class UpProcess:
    """A program that starts a stack; used as a context manager, it has ended afterwards and left no process.

    Args:
        command: `UP` or `DEMO`, and arguments.
        folder: where it runs, without a file `.env`; what it puts into HOME and TMPDIR lands in `folder/elsewhere`.
        settings: its variables.
    """

    def __init__(self, folder: Path, *command: str, **settings: str) -> None:
        self.folder = folder
        self.elsewhere = folder / "elsewhere"
        self.elsewhere.mkdir(exist_ok=True)
        kept = {name: value for name, value in os.environ.items() if not name.startswith(_OURS) or "TEST" in name}
        homes = dict.fromkeys(("HOME", "TMPDIR"), str(self.elsewhere))
        nobody = {"OLLAMA_URL": NOWHERE, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
        self.env = {**kept, **homes, **nobody, **settings}
        self._command = command
        self._before: set[str] = set()
        self._lines: list[str] = []

    def __enter__(self) -> Self:
        self._before = _ids(leftovers())
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(
            self._command, cwd=self.folder, env=self.env, stdin=pipe, stdout=pipe, stderr=pipe, start_new_session=True
        )
        self._readers = [
            threading.Thread(target=self._read, args=(stream,)) for stream in (self.process.stdout, self.process.stderr)
        ]
        for reader in self._readers:
            reader.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        eventually(lambda: not self.left())
        for reader in self._readers:
            reader.join()
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            if stream:
                stream.close()

    @property
    def said(self) -> str:
        """All that it has printed so far."""
        return "".join(self._lines)

    def says(self, text: str) -> str:
        """Wait until it has printed this text; returns all that it has printed."""

        def has_said() -> bool:
            assert self.process.poll() is None or text in self.said, f"it ended without saying {text!r}: {self.said}"
            return text in self.said

        eventually(has_said, LIMIT_S)
        return self.said

    def report(self) -> dict[str, Any]:
        """The line of JSON that it prints with `--json`."""
        self.says("}\n")
        report: dict[str, Any] = json.loads(next(line for line in self.said.splitlines() if line.startswith("{")))
        return report

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to its group, as a terminal does."""
        os.killpg(self.process.pid, number)

    def ended(self) -> int:
        """Wait for its end, soon after which nothing that it started may be left; returns its exit status."""
        status = self.process.wait(LIMIT_S)
        for reader in self._readers:
            reader.join()

        def none_left() -> bool:
            assert self.left() == set()
            return True

        eventually(none_left)  # what it leaves is ended by those who watch over it
        return status

    def left(self) -> set[str]:
        """The processes that it has left."""
        return {line for line in leftovers() if line.split()[0] not in self._before}

    def _read(self, stream: Any) -> None:
        for line in stream:
            self._lines.append(line.decode())


def _ids(lines: list[str]) -> set[str]:
    """Process ids alone: the state of a process that stays may change."""
    return {line.split()[0] for line in lines}
