"""The output of a job: one line for each row, whole at any moment, and a side file that says what it belongs to."""

from __future__ import annotations

import fcntl
import json
import os
from hashlib import sha256
from typing import IO, TYPE_CHECKING, Any

from understudy.errors import InvalidRequest, UnderstudyError

if TYPE_CHECKING:
    from collections.abc import Container, Iterator
    from pathlib import Path

BLOCK = 65_536
FORMAT = 1


class OutputFull(UnderstudyError):
    """The output cannot take another line."""


class Output:
    """The files of one job; only one process has them.

    Args:
        path: of the output. Beside it are `<path>.job.json`, and `<path>.rejected.jsonl` where rows are broken.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.about: dict[str, Any] = {}
        self._side = path.with_name(f"{path.name}.job.json")
        self._rejected_path = path.with_name(f"{path.name}.rejected.jsonl")
        self._rejected: IO[str] | None = None
        self._lock: IO[str] | None = None
        self._file = -1
        self._size = 0

    def open(self, about: dict[str, Any], first: bytes, *, restart: bool) -> bool:
        """Take the files; whether an earlier run is gone on with.

        Args:
            about: what the output belongs to; `job` is kept from the earlier run.
            first: the beginning of the input, which may have grown since.
            restart: begin anew, whatever is there.

        Raises:
            InvalidRequest: another process has them, they belong to something else, or cannot be written.
        """
        try:
            self._lock = self._side.open("a+", encoding="utf-8")
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._lock.seek(0)
            before = self._lock.read()
            goes_on = not restart and self._belongs(before, about, first)
            self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
            if goes_on:
                self.about = json.loads(before)
                self._cut_torn()
            else:
                os.ftruncate(self._file, 0)
                self.about = about
                self._write_side(self._lock)
            self._size = os.fstat(self._file).st_size
            self._rejected_path.unlink(missing_ok=True)
        except BlockingIOError:
            raise InvalidRequest(f"The output {self.path} is being written by another run of this command.") from None
        except OSError as error:
            raise InvalidRequest(
                f"The output {self.path} cannot be written: {error.strerror or type(error).__name__}."
            ) from None
        return goes_on

    def written(self) -> Iterator[tuple[int, int, dict[str, Any]]]:
        """The lines of earlier runs: number, place in the file and what they hold.

        Raises:
            InvalidRequest: a line is none of ours.
        """
        place = 0
        with self.path.open("rb") as file:
            for number, data in enumerate(file, 1):
                try:
                    row = json.loads(data)
                    row["id"]
                except (ValueError, TypeError, KeyError):
                    raise InvalidRequest(
                        f"The output {self.path} holds something else than verdicts (line {number}):"
                        " name another --out, or begin anew with --restart."
                    ) from None
                yield number, place, row
                place += len(data)

    def line_at(self, place: int) -> dict[str, Any]:
        """The line that begins at a place in the file."""
        data = b""
        while b"\n" not in data and (block := os.pread(self._file, 4_096, place + len(data))):
            data += block
        row: dict[str, Any] = json.loads(data.split(b"\n", 1)[0])
        return row

    def append(self, lines: list[str]) -> None:
        """Add lines, with one write.

        Raises:
            OutputFull: there is no room; no part of a line is left behind.
        """
        data = "".join(f"{line}\n" for line in lines).encode("utf-8", "replace")
        try:
            wrote = os.write(self._file, data)
            while wrote < len(data):
                wrote += os.write(self._file, data[wrote:])
        except OSError as error:
            # What fitted of it may end within a line.
            os.ftruncate(self._file, self._size)
            reason = error.strerror or type(error).__name__
            raise OutputFull(
                f"The output {self.path} cannot be written on: {reason}. Its {self._size:,} bytes are whole lines; make"
                " room and start the command again, it goes on from there."
            ) from None
        self._size += len(data)

    def sync(self) -> None:
        """Let what was written outlast the machine."""
        os.fsync(self._file)

    def reject(self, number: int, why: str, raw: str) -> None:
        """Note a broken row in the side file."""
        try:
            if self._rejected is None:
                self._rejected = self._rejected_path.open("w", encoding="utf-8")
            self._rejected.write(json.dumps({"line": number, "why": why, "raw": raw}, ensure_ascii=False) + "\n")
            self._rejected.flush()
        except OSError as error:
            raise OutputFull(f"{self._rejected_path} cannot be written: {error.strerror}.") from None

    def without(self, dropped: Container[int]) -> None:
        """Leave out lines, by their numbers, to ask those rows again; the rest is kept whatever happens meanwhile."""
        fresh = self.path.with_name(f"{self.path.name}.new")
        with fresh.open("wb") as new, self.path.open("rb") as old:
            for number, data in enumerate(old, 1):
                if number not in dropped:
                    new.write(data)
            new.flush()
            os.fsync(new.fileno())
        fresh.replace(self.path)
        os.close(self._file)
        self._file = os.open(self.path, os.O_RDWR | os.O_APPEND)
        self._size = os.fstat(self._file).st_size

    def close(self) -> None:
        """Give the files back."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
        for file in (self._rejected, self._lock):
            if file:
                file.close()

    @property
    def rejected_path(self) -> Path:
        """Where broken rows are noted."""
        return self._rejected_path

    def _belongs(self, before: str, about: dict[str, Any], first: bytes) -> bool:
        """Whether the output is that of an earlier run of the same job."""
        if not before:
            if self.path.exists() and self.path.stat().st_size:
                raise InvalidRequest(
                    f"The output {self.path} is there already, and {self._side.name}, which would say what it"
                    " belongs to, is not: name another --out, or overwrite it with --restart."
                )
            return False
        try:
            known = json.loads(before)
            size, _, print_ = str(known["input"]).partition(":")
            same = len(first) >= int(size) and fingerprint(first[: int(size)]) == print_
            different = [name for name in ("rules", "shape") if known[name] != about[name]]
            different += [] if same else ["input"]
            str(known["job"])
        except (ValueError, TypeError, KeyError, AttributeError):
            raise InvalidRequest(f"{self._side} cannot be read: name another --out, or --restart.") from None
        if different:
            what = {"input": "other input", "rules": "other rules", "shape": "another reading of its input"}
            named = " and ".join(what.get(name, f"another {name}") for name in different)
            raise InvalidRequest(
                f"The output {self.path} belongs to {named} (line 1 on): name another --out, or begin anew with"
                " --restart."
            )
        return True

    def _write_side(self, side: IO[str]) -> None:
        side.truncate(0)
        side.write(json.dumps(self.about))
        side.flush()
        os.fsync(side.fileno())

    def _cut_torn(self) -> None:
        """Cut a last line off that has no end."""
        size = os.fstat(self._file).st_size
        end = size
        while end:
            start = max(0, end - BLOCK)
            found = os.pread(self._file, end - start, start).rfind(b"\n")
            if found >= 0:
                end = start + found + 1
                break
            end = start
        if end < size:
            os.ftruncate(self._file, end)


def fingerprint(data: bytes) -> str:
    """What tells one content from another."""
    return sha256(data).hexdigest()[:32]
