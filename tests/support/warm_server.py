"""`python -m tests.support.warm_server FD MODULE …`: loads modules once, and forks a process for each program to run.

See `tests.support.warm`, which starts it and asks it.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import io
import json
import os
import runpy
import signal
import socket
import struct
import sys
from typing import Any

FILES = 4
"""Standard input, output and error, and where to tell the process id and how it ended."""


def serve(asked: socket.socket) -> dict[str, Any] | None:
    """Fork for each request until nobody asks any more; returns the request in the process that is to follow it."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody here waits for those that wait
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    while True:
        head, files, _, _ = socket.recv_fds(asked, 4, FILES)
        if not head:
            return None
        (left,), data = struct.unpack("i", head), b""
        while len(data) < left:
            data += asked.recv(left - len(data))
        if os.fork() == 0:
            asked.close()
            return _follow(json.loads(data), files)
        for file in files:
            os.close(file)


def _follow(request: dict[str, Any], files: list[int]) -> dict[str, Any]:
    """Two processes: the program, and one that says how it ended."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    *standard, told = files
    pid = os.fork()
    if pid:
        for file in (0, 1, 2, *standard):
            os.close(file)
        _, status = os.waitpid(pid, 0)
        with contextlib.suppress(BrokenPipeError):
            os.write(told, struct.pack("i", status))
        os._exit(0)
    os.setsid()
    os.write(told, struct.pack("i", os.getpid()))
    os.close(told)
    for number, file in enumerate(standard):
        os.dup2(file, number)
        os.close(file)
    return request


def become(request: dict[str, Any]) -> None:
    """Be the program: as `python -m` would start it there."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
    sys.path[0] = request["cwd"]
    unbuffered = "PYTHONUNBUFFERED" in os.environ
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 - for the whole life of the process
    for name, number in (("stdout", 1), ("stderr", 2)):
        lines = name == "stderr" or unbuffered
        file = open(number, "wb", buffering=0 if lines else -1, closefd=False)  # noqa: SIM115
        errors = "strict" if name == "stdout" else "backslashreplace"
        setattr(sys, name, io.TextIOWrapper(file, encoding="utf-8", errors=errors, write_through=lines))
    sys.argv = [request["module"], *request["args"]]
    runpy.run_module(request["module"], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    with socket.socket(fileno=int(sys.argv[1])) as asked:
        for module in sys.argv[2:]:
            importlib.import_module(module)
        gc.freeze()  # shared by the programs, as long as nobody goes through it
        request = serve(asked)
    if request is not None:
        become(request)
