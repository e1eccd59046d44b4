"""A child process that cannot outlive the process that started it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# Reads until the pipe has no writer left, that is until the parent has ended, in whatever way; then ends the group.
_WATCH = 'while read -r _; do :; done; kill -s KILL -- "-$1" 2>/dev/null'


def watch(group: int) -> subprocess.Popen[bytes]:
    """The shell that ends a group of processes when this process is gone; killed, it does nothing any more."""
    return subprocess.Popen(
        ["/bin/sh", "-c", _WATCH, "leash", str(group)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


class LeashedProcess:
    """A process in a group of its own, watched by a shell that ends the group when this process is gone.

    A group of its own also keeps the terminal's Ctrl-C away from it: who started it decides the order of the end.
    It works alike on Linux and macOS and does not depend on the thread that starts it.

    Args:
        command: the program and its arguments.
        env: its whole environment; None for this process's own.
        output: a file descriptor or subprocess constant for what it prints; None for this process's own.
    """

    def __init__(
        self, command: Sequence[str], *, env: Mapping[str, str] | None = None, output: int | None = subprocess.DEVNULL
    ) -> None:
        options: dict[str, Any] = {"env": env, "stdout": output, "stderr": subprocess.STDOUT if output else None}
        self._process = subprocess.Popen(list(command), stdin=subprocess.DEVNULL, start_new_session=True, **options)
        self._watch = watch(self._process.pid)

    @property
    def pid(self) -> int:
        """The process id, also that of its group."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the process itself still runs."""
        return self._process.poll() is None

    @property
    def exit_code(self) -> int | None:
        """The exit status, negative for a signal; None while it runs."""
        return self._process.poll()

    def signal(self, number: int) -> None:
        """Send a signal to the process and its children; nothing happens when they are gone."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)

    def wait(self, limit_s: float) -> bool:
        """Wait until the process has ended; False when it still runs after the limit."""
        try:
            self._process.wait(limit_s)
        except subprocess.TimeoutExpired:
            return False
        return True

    def stop(self, grace_s: float = 10) -> None:
        """Ask it to end with SIGTERM, then end it and all its children with SIGKILL."""
        if self.alive:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._process.pid, signal.SIGTERM)
            self.wait(grace_s)
        self.kill()

    def kill(self) -> None:
        """End it and all its children with SIGKILL, and the watching shell with them."""
        # The shell first: once the process is reaped its number may belong to somebody else.
        self._watch.kill()
        self._watch.wait()
        if self._watch.stdin:
            self._watch.stdin.close()
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._end_of_group()

    def _end_of_group(self, limit_s: float = 1) -> None:
        """Wait until its last child is gone too, or is left to the machine's first process to bury."""
        until = time.monotonic() + limit_s
        while time.monotonic() < until:
            try:
                os.killpg(self._process.pid, 0)
            except (ProcessLookupError, PermissionError):
                return
            time.sleep(0.01)
