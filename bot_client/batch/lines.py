"""The lines of an input: a file, standard input, either packed with gzip or not."""

from __future__ import annotations

import asyncio
import gzip
import io
import sys
import threading
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TypeVar

from understudy.errors import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    T = TypeVar("T")

CHUNK = 65_536
MAX_LINE = 4_000_000
"""Bytes: above every contract's limit."""

STDIN = "-"
BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class Line:
    """One line, without its end.

    Args:
        number: counted from 1.
        data: None where it is longer than `MAX_LINE`.
    """

    number: int
    data: bytes | None


class Lines:
    """Reads an input once.

    Args:
        path: of the file, or `-`.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.name = "standard input" if path == STDIN else Path(path).name
        self.said = f"The input {'on standard input' if path == STDIN else path}"
        self._stream: IO[bytes] | None = None
        self._first = b""

    async def start(self, fingerprint_of: int) -> bytes:
        """Open it; returns its first bytes, so many where there are, or of standard input its first line.

        Raises:
            InvalidRequest: it cannot be read, is empty, or is no UTF-8 text.
        """
        await self._blocking(self._open)
        while not self._is_enough(fingerprint_of) and (chunk := await self._chunk()):
            self._first += chunk
        if not self._first.strip():
            raise InvalidRequest(f"{self.said} is empty.")
        if self._first.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in self._first[:1000]:
            raise InvalidRequest(f"{self.said} is no UTF-8 text (line 1): convert it first, with iconv for one.")
        first = self._first[:fingerprint_of]
        return first if self.path != STDIN else first.split(b"\n", 1)[0]

    async def __aiter__(self) -> AsyncIterator[Line]:
        """The lines."""
        rest, number, too_long = bytearray(self._first.removeprefix(BOM)), 0, False
        self._first = b""
        while True:
            start = 0
            while (end := rest.find(b"\n", start)) >= 0:
                number += 1
                yield _line(number, rest[start:end], too_long=too_long)
                start, too_long = end + 1, False
            del rest[:start]
            if len(rest) > MAX_LINE:
                rest.clear()
                too_long = True
            chunk = await self._chunk()
            if not chunk:
                break
            rest += chunk
        if rest or too_long:
            yield _line(number + 1, rest, too_long=too_long)

    def _is_enough(self, size: int) -> bool:
        """Whoever writes to standard input may wait for the first verdicts before the second line."""
        return len(self._first) >= size or (self.path == STDIN and b"\n" in self._first)

    def close(self) -> None:
        """Close a file; standard input stays open."""
        if self._stream and self.path != STDIN:
            self._stream.close()

    def _open(self) -> None:
        try:
            raw: IO[bytes] = sys.stdin.buffer if self.path == STDIN else Path(self.path).open("rb")  # noqa: SIM115
        except OSError as error:
            raise InvalidRequest(f"{self.said} cannot be read: {error.strerror or type(error).__name__}.") from None
        stream = raw if isinstance(raw, io.BufferedReader) else io.BufferedReader(raw)  # type: ignore[type-var]
        packed = stream.peek(2)[:2] == b"\x1f\x8b"
        self._stream = gzip.GzipFile(fileobj=stream) if packed else stream  # type: ignore[assignment]

    async def _chunk(self) -> bytes:
        stream: Any = self._stream
        try:
            return await self._blocking(lambda: stream.read1(CHUNK))
        except (EOFError, zlib.error, gzip.BadGzipFile):
            raise InvalidRequest(f"{self.said} cannot be unpacked: it is damaged, or ends too early.") from None
        except OSError as error:
            raise InvalidRequest(f"{self.said} cannot be read: {error.strerror or type(error).__name__}.") from None

    async def _blocking(self, work: Callable[[], T]) -> T:
        """A file is read at once; standard input in a thread that nobody waits for at the end."""
        if self.path != STDIN:
            return work()
        loop = asyncio.get_running_loop()
        done: asyncio.Future[T] = loop.create_future()

        def tell(result: T | None, error: Exception | None) -> None:
            if done.done():
                return
            if error:
                done.set_exception(error)
            else:
                done.set_result(result)  # type: ignore[arg-type]

        def run() -> None:
            result, fault = None, None
            try:
                result = work()
            except Exception as error:  # noqa: BLE001 - handed to the one who waits
                fault = error
            if not loop.is_closed():
                loop.call_soon_threadsafe(tell, result, fault)

        threading.Thread(target=run, daemon=True).start()
        return await done


def _line(number: int, data: bytearray, *, too_long: bool) -> Line:
    return Line(number, None if too_long or len(data) > MAX_LINE else bytes(data.removesuffix(b"\r")))
