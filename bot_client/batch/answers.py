"""Answers that a job already has: those of this job, and in a file those of earlier ones."""

from __future__ import annotations

import json
import sqlite3
import time
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from bot_client.batch.verdict import CACHED, SAME_TEXT, Verdict
from understudy.contracts.moderation import ModerationResult
from understudy.errors import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

CACHE_DAYS = 30.0
"""How long an answer of an earlier job is taken, unless said otherwise."""

PAGES_KB = 4_096
"""Of a temporary database in memory: the rest is on disk, so that memory does not grow with the job."""

BUSY_S = 5.0


class Answers:
    """The answers of one job, by what was asked; in a temporary file that goes with the process."""

    def __init__(self) -> None:
        self._db = temporary("CREATE TABLE answers (content TEXT PRIMARY KEY, answer TEXT) WITHOUT ROWID")

    def get(self, content: str, row_id: str | int) -> Verdict | None:
        """The answer to the same question, for another row."""
        found = self._db.execute("SELECT answer FROM answers WHERE content = ?", (content,)).fetchone()
        return _read(found[0], row_id, SAME_TEXT) if found else None

    def put(self, content: str, verdict: Verdict) -> None:
        """Keep an answer."""
        self._db.execute("INSERT OR IGNORE INTO answers VALUES (?, ?)", (content, _text(verdict)))

    def close(self) -> None:
        """Give the file back."""
        self._db.close()


class Cache:
    """Answers of all jobs that share a file, by what was asked and by the model that answered.

    Args:
        path: made where there is none.
        days: how long an answer is taken.

    Raises:
        InvalidRequest: the file is none of ours, or cannot be written.
    """

    def __init__(self, path: Path, days: float = CACHE_DAYS, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._lasts_s = days * 86_400
        self._db: sqlite3.Connection
        with _named(path):
            self._db = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None)
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = NORMAL")
            self._db.execute(
                "CREATE TABLE IF NOT EXISTS verdicts (content TEXT, model TEXT, at REAL, answer TEXT,"
                " PRIMARY KEY (content, model)) WITHOUT ROWID"
            )
            self._db.execute("DELETE FROM verdicts WHERE at < ?", (clock() - self._lasts_s,))

    def get(self, content: str, model: str, row_id: str | int) -> Verdict | None:
        """What this model answered to the same question."""
        found = self._db.execute(
            "SELECT answer FROM verdicts WHERE content = ? AND model = ? AND at >= ?",
            (content, model, self._clock() - self._lasts_s),
        ).fetchone()
        return _read(found[0], row_id, CACHED) if found else None

    def put(self, content: str, verdict: Verdict) -> None:
        """Keep an answer under the model that gave it."""
        self._db.execute(
            "INSERT OR REPLACE INTO verdicts VALUES (?, ?, ?, ?)",
            (content, verdict.model, self._clock(), _text(verdict)),
        )

    def close(self) -> None:
        """Close the file."""
        self._db.close()


def temporary(table: str) -> sqlite3.Connection:
    """A database in a temporary file, with one table."""
    db = sqlite3.connect("", isolation_level=None)
    db.execute(f"PRAGMA cache_size = -{PAGES_KB}")
    db.execute("PRAGMA journal_mode = OFF")
    db.execute("PRAGMA synchronous = OFF")
    db.execute(table)
    return db


@contextmanager
def _named(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.DatabaseError as error:
        raise InvalidRequest(f"The cache {path} cannot be used: {error}.") from error


def _text(verdict: Verdict) -> str:
    result = verdict.result.model_dump(mode="json") if verdict.result else None
    return json.dumps([result, verdict.provider, verdict.model], ensure_ascii=False, separators=(",", ":"))


def _read(text: str, row_id: str | int, source: str) -> Verdict:
    result, provider, model = json.loads(text)
    blank = Verdict(id=row_id, provider=provider, model=model, source=source)
    return replace(blank, result=ModerationResult.model_validate(result))
