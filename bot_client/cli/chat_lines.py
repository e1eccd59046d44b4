"""Standard input by lines, while the event loop goes on."""

from __future__ import annotations

import asyncio
import os
import queue
import sys
import threading
from contextlib import suppress

from bot_client.cli.options import MAX_INPUT
from understudy.errors import InvalidRequest


class Lines:
    """Reads a line when it is asked for one, in a thread that nobody waits for at the end."""

    def __init__(self) -> None:
        self._read = b""
        self._wanted: queue.SimpleQueue[tuple[asyncio.AbstractEventLoop, asyncio.Future[bytes]]] = queue.SimpleQueue()
        threading.Thread(target=self._work, name="understudy-lines", daemon=True).start()

    async def read(self) -> str | None:
        """The next line; None at the end.

        Raises:
            InvalidRequest: it is too long, or no text.
        """
        loop = asyncio.get_running_loop()
        read: asyncio.Future[bytes] = loop.create_future()
        self._wanted.put((loop, read))
        data = await read
        if len(data) > MAX_INPUT + 1:
            raise InvalidRequest(f"A line is too long: at most {MAX_INPUT:,} bytes are read.")
        try:
            return data.decode("utf-8-sig").rstrip("\r\n") if data else None
        except UnicodeDecodeError:
            pass
        raise InvalidRequest("Standard input must be UTF-8 text.")

    def _work(self) -> None:
        while True:
            loop, read = self._wanted.get()
            data = self._line()
            with suppress(RuntimeError):  # the loop has ended: nobody waits
                loop.call_soon_threadsafe(_give, read, data)

    def _line(self) -> bytes:
        """The next line with its end; of one that is too long, as much as says so. Empty at the end of the input."""
        line = b""
        while b"\n" not in self._read:
            # not by way of sys.stdin, whose lock a thread that waits would hold while the program ends
            more = os.read(sys.stdin.fileno(), 65_536)
            if not more:
                line, self._read = line + self._read, b""
                return line[: MAX_INPUT + 1]
            line, self._read = (line + self._read)[: MAX_INPUT + 1], more
        head, _, self._read = self._read.partition(b"\n")
        return (line + head)[: MAX_INPUT + 1] + b"\n"


def _give(read: asyncio.Future[bytes], data: bytes) -> None:
    if not read.done():
        read.set_result(data)
