"""Processes that a test run started and did not end."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

MARK = "UNDERSTUDY_TEST_RUN"
# Helpers of Python's own that live as long as the interpreter.
_OF_PYTHON = ("multiprocessing.resource_tracker", "multiprocessing.forkserver")


def leftovers() -> list[str]:
    """List what is still running: id and command of each child, and on Linux of all that carry this run's mark.

    The mark is an environment variable that every process started by the run inherits, so that one whose parent has
    died is found as well.
    """
    found = _from_proc() if Path("/proc/self/environ").exists() else _from_ps()
    return [line for line in found if not any(name in line for name in _OF_PYTHON)]


def _from_proc() -> list[str]:
    mark = f"{MARK}={os.environ[MARK]}".encode()
    found = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit() or int(folder.name) == os.getpid():
            continue
        try:
            state, parent = (folder / "stat").read_text().rpartition(")")[2].split()[:2]
            ours = int(parent) == os.getpid() or mark in (folder / "environ").read_bytes().split(b"\0")
            command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
        except OSError:
            continue  # it ended while we looked, or belongs to somebody else
        if ours:
            found.append(f"{folder.name} {command or 'a process that nobody waited for'} ({state})")
    return found


def _from_ps() -> list[str]:
    listing = subprocess.run(["ps", "-A", "-o", "pid=,ppid=,command="], capture_output=True, text=True, check=True)
    rows = (line.split(None, 2) for line in listing.stdout.splitlines())
    return [
        f"{pid} {command}" for pid, parent, command in rows if int(parent) == os.getpid() and "ps -A" not in command
    ]
