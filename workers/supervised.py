"""A child process that is started again when it dies, with its output in a log file."""

from __future__ import annotations

import json
import os
import signal
import time
from typing import TYPE_CHECKING, Any

from workers.leash import LeashedProcess

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

LONGEST_PAUSE_S = 30.0
STEADY_S = 60.0
"""A process that ran this long has recovered from what ended it: the pauses begin anew."""

LOOK_S = 0.05


def pause_s(deaths: int) -> float:
    """How long to wait before the next start.

    Args:
        deaths: how often in a row it has ended without having run steadily in between.
    """
    return float(min(LONGEST_PAUSE_S, 2.0 ** max(0, min(deaths, 10) - 1)))


class Supervised:
    """One program of the stack.

    Args:
        name: of its log file, and what the reader is told.
        command: the program and its arguments.
        env: its whole environment.
        log: where its output goes; begun anew at the first start, continued at later ones.
    """

    def __init__(self, name: str, command: Sequence[str], env: Mapping[str, str], log: Path) -> None:
        self.name = name
        self.command = list(command)
        self.log = log
        self._env = dict(env)
        self._process: LeashedProcess | None = None
        self._started_at = 0.0
        self._deaths = 0
        self._again_at: float | None = None

    @property
    def pid(self) -> int | None:
        """Of the running process; None while there is none."""
        return self._process.pid if self._process and self._process.alive else None

    def start(self) -> None:
        """Start it for the first time."""
        self.log.unlink(missing_ok=True)
        self._start()

    def tend(self, now: float) -> str | None:
        """Start it again once it has died and its pause is over; a sentence for the reader where something happened.

        Args:
            now: by the monotonic clock.
        """
        if self._process and not self._process.alive:
            code = self._process.exit_code
            # Its children, where it left some, end with it.
            self._process.kill()
            self._process = None
            self._deaths = 1 if now - self._started_at >= STEADY_S else self._deaths + 1
            wait_s = pause_s(self._deaths)
            self._again_at = now + wait_s
            return f"{self.name} {_ended(code)}; it is started again in {wait_s:g} s. Its log: {self.log}"
        if self._again_at is not None and now >= self._again_at:
            self._again_at = None
            self._start()
            return f"{self.name} runs again."
        return None

    def ask_to_end(self) -> None:
        """Send SIGTERM, and start it no more."""
        self._again_at = None
        if self._process and self._process.alive:
            self._process.signal(signal.SIGTERM)

    def end(self, limit_s: float, hurry: Callable[[], bool] = lambda: False) -> None:
        """Wait until it has ended; end it by force after the limit, or as soon as there is hurry."""
        self._again_at = None
        if self._process is None:
            return
        until = time.monotonic() + limit_s
        while time.monotonic() < until and not hurry():
            if self._process.wait(LOOK_S):
                break
        self._process.kill()
        self._process = None

    def first_line(self, limit_s: float, stopped: Callable[[], bool]) -> dict[str, Any] | None:
        """What a program that says in one line of JSON where it listens has said; None where it did not."""
        until = time.monotonic() + limit_s
        while time.monotonic() < until and not stopped() and self.pid is not None:
            line, newline, _ = self.log.read_text(encoding="utf-8", errors="replace").partition("\n")
            if newline:
                try:
                    said = json.loads(line)
                except ValueError:
                    return None
                return said if isinstance(said, dict) else None
            time.sleep(LOOK_S)
        return None

    def tail(self, lines: int = 15) -> str:
        """The end of its log."""
        return tail(self.log, lines)

    def _start(self) -> None:
        self._started_at = time.monotonic()
        output = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            self._process = LeashedProcess(self.command, env=self._env, output=output)
        finally:
            os.close(output)


def tail(log: Path, lines: int = 15) -> str:
    """The last lines of a log file; nothing where there is none."""
    try:
        return "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])
    except OSError:
        return ""


def _ended(code: int | None) -> str:
    if code is None or code >= 0:
        return f"ended with status {code}"
    try:
        return f"was ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"was ended by signal {-code}"
