"""Which ids a job has seen and written: on disk, so that memory does not grow with the job."""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING

from bot_client.batch.answers import temporary

if TYPE_CHECKING:
    from bot_client.batch.row import RowId


class Marks:
    """A set of row ids, each with a number; an id is kept as 63 bits of its hash.

    Among ten million ids two have the same bits with a probability of one in 200,000: the later one would be named as a
    duplicate, not lost in silence.
    """

    def __init__(self) -> None:
        self._db = temporary("CREATE TABLE marks (mark INTEGER PRIMARY KEY, number INTEGER)")

    def add(self, row_id: RowId, number: int) -> bool:
        """Note an id; whether it is new."""
        return self._db.execute("INSERT OR IGNORE INTO marks VALUES (?, ?)", (_mark(row_id), number)).rowcount > 0

    def number(self, row_id: RowId) -> int | None:
        """What was noted with an id; None where it is not there."""
        found = self._db.execute("SELECT number FROM marks WHERE mark = ?", (_mark(row_id),)).fetchone()
        return int(found[0]) if found else None

    def __len__(self) -> int:
        return int(self._db.execute("SELECT COUNT(*) FROM marks").fetchone()[0])

    def close(self) -> None:
        """Give the file back."""
        self._db.close()


def _mark(row_id: RowId) -> int:
    return int.from_bytes(blake2b(str(row_id).encode("utf-8", "surrogatepass"), digest_size=8).digest()) >> 1
