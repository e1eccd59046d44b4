"""An output file, read row by row."""

from __future__ import annotations

import gzip
import json
from typing import IO, TYPE_CHECKING, Any

from understudy.errors import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

GZIP = b"\x1f\x8b"
ERROR = "error"
"""Stands for the verdict of a row that ended with an error."""


def rows_of(path: Path) -> Iterator[dict[str, Any]]:
    """The rows of an output file; one that is being written may end in half a line, which is left out.

    Raises:
        InvalidRequest: it cannot be read, or a line is no row of such a file; its number is named.
    """
    try:
        with _opened(path) as lines:
            for number, line in enumerate(lines, start=1):
                row = _row(line)
                if row is not None:
                    yield row
                elif line.endswith(b"\n") and line.strip():
                    raise InvalidRequest(f"{path}, line {number:,}: it is not a row with id and verdict or error.")
    except (OSError, EOFError) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise InvalidRequest(f"The file {path} cannot be read: {reason}.") from None


def verdict_in(row: dict[str, Any]) -> str:
    """The verdict of a row, or `error`."""
    return ERROR if "error" in row else str(row["verdict"])


def _opened(path: Path) -> IO[bytes]:
    file = path.open("rb")
    start = file.read(2)
    file.seek(0)
    return gzip.open(file) if start == GZIP else file  # type: ignore[return-value]


def _row(line: bytes) -> dict[str, Any] | None:
    try:
        row = json.loads(line)
    except ValueError:
        return None
    return row if isinstance(row, dict) and "id" in row and ("verdict" in row or "error" in row) else None
