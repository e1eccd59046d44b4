"""What changed between two output files, by old and new verdict; on disk, so that memory does not grow with them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from bot_client.batch.answers import temporary
from bot_client.batch.verdict_lines import rows_of, verdict_in

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Sequence
    from pathlib import Path

EXAMPLES = 3
_TABLE = "CREATE TABLE judged (id TEXT PRIMARY KEY, old TEXT, new TEXT, old_reason TEXT, new_reason TEXT)"
_OLD = "INSERT OR REPLACE INTO judged (id, old, old_reason) VALUES (?, ?, ?)"
_NEW = (
    "INSERT INTO judged (id, new, new_reason) VALUES (?, ?, ?)"
    " ON CONFLICT (id) DO UPDATE SET new = excluded.new, new_reason = excluded.new_reason"
)
_COUNTS = "SELECT old, new, COUNT(*) FROM judged GROUP BY old, new"
_EXAMPLES = (
    "SELECT id, old_reason, new_reason FROM judged WHERE old = ? AND new = ? AND old != new ORDER BY rowid LIMIT ?"
)


@dataclass(frozen=True)
class Example:
    """A row that is judged otherwise now."""

    id: str
    old_reason: str
    new_reason: str


@dataclass(frozen=True)
class Change:
    """Rows by their old and new verdict; `error` where there was none.

    Args:
        examples: the first few, where the two differ.
    """

    old: str
    new: str
    rows: int
    examples: tuple[Example, ...] = ()


@dataclass(frozen=True)
class Difference:
    """Two output files compared, row by row.

    Args:
        changes: by old and new verdict: those that differ, the most frequent first, then those that do not.
        only_old, only_new: rows that the other file has not.
    """

    changes: Sequence[Change]
    only_old: int = 0
    only_new: int = 0

    @property
    def compared(self) -> int:
        """Rows that both have."""
        return sum(change.rows for change in self.changes)

    @property
    def changed(self) -> int:
        """Those of them whose verdict differs."""
        return sum(change.rows for change in self.changes if change.old != change.new)

    def as_dict(self) -> dict[str, Any]:
        """All of it as plain data."""
        return {
            "compared": self.compared,
            "changed": self.changed,
            "only_old": self.only_old,
            "only_new": self.only_new,
            "changes": [asdict(change) for change in self.changes],
        }


def difference_of(old: Path, new: Path, examples: int = EXAMPLES) -> Difference:
    """Compare two output files; where one has an id twice, its last row counts.

    Args:
        examples: rows that are named for each change.

    Raises:
        InvalidRequest: one of them cannot be read.
    """
    db = temporary(_TABLE)
    try:
        db.execute("BEGIN")
        db.executemany(_OLD, _told(old))
        db.executemany(_NEW, _told(new))
        return _compared(db, examples)
    finally:
        db.close()


def _told(path: Path) -> Iterator[tuple[str, str, str]]:
    for row in rows_of(path):
        error = row.get("error")
        detail = error.get("detail") if isinstance(error, dict) else error
        text = str(row.get("reason") or detail or "")
        # a lone surrogate has no place in a database
        yield tuple(part.encode("utf-8", "replace").decode() for part in (str(row["id"]), verdict_in(row), text))  # type: ignore[misc]


def _compared(db: sqlite3.Connection, examples: int) -> Difference:
    changes, only_old, only_new = list[Change](), 0, 0
    for old, new, rows in db.execute(_COUNTS).fetchall():
        if new is None:
            only_old += rows
        elif old is None:
            only_new += rows
        else:
            found = db.execute(_EXAMPLES, (old, new, examples)).fetchall()
            changes.append(Change(old, new, rows, tuple(Example(*row) for row in found)))
    changes.sort(key=lambda change: (change.old == change.new, -change.rows, change.old, change.new))
    return Difference(changes, only_old, only_new)
