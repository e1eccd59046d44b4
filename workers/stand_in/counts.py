"""What a stand-in remembers of the requests it got: numbers and fingerprints, never a text."""

from __future__ import annotations

import time
from collections import Counter, deque
from dataclasses import asdict, dataclass
from typing import Any, Final

from workers.stand_in.ask import PROBE

MAX_RECORDS: Final = 10_000
RUNNING: Final = "running"


@dataclass(slots=True)
class Record:
    """One chat request."""

    at: float
    """When it had been read, in seconds since 1970."""
    kind: str
    """`moderation`, `thread_naming`, `text`, `probe` or `invalid`."""
    streamed: bool
    fingerprint: str
    """SHA-256 of the messages."""
    call: str | None
    """The header `X-Understudy-Call`, if it was sent."""
    status: int | None = None
    """As sent; None while nothing was."""
    tokens: int = 0
    """Of the answer, as far as it was sent."""
    outcome: str = RUNNING
    """`answered`, the fault of an answer sent to its end, `status_503` and so on, `reset`, `cut`, `invalid`, `aborted`
    when the client left first, `hung_up` when the stand-in stopped or began to refuse."""
    ms: int = 0


class Counts:
    """Counts requests, calls and probes apart."""

    def __init__(self) -> None:
        self._running: set[int] = set()
        self.clear()

    def clear(self) -> None:
        """Start from nothing; requests still running stay in `now`, and their end is not counted."""
        self._paths: Counter[str] = Counter()
        self._outcomes: Counter[str] = Counter()
        self._total = self._streamed = self._probes = self._loads = 0
        self._peak = len(self._running)
        self._records: deque[Record] = deque(maxlen=MAX_RECORDS)
        self._life = object()

    def look(self, path: str) -> None:
        """A request came in."""
        self._paths[path] += 1

    def load(self) -> None:
        """The model is being loaded."""
        self._loads += 1

    def begin(self, record: Record) -> object:
        """A chat request was read; give what is returned to `end`."""
        if record.kind == PROBE:
            self._probes += 1
        else:
            self._total += 1
            self._streamed += record.streamed
        self._running.add(id(record))
        self._peak = max(self._peak, len(self._running))
        self._records.append(record)
        return self._life

    def end(self, life: object, record: Record) -> None:
        """The request ended, its outcome is in the record."""
        self._running.discard(id(record))
        record.ms = round((time.time() - record.at) * 1000)
        if life is self._life and record.kind != PROBE:
            self._outcomes[record.outcome] += 1

    def to_json(self, *, records: bool = True) -> dict[str, Any]:
        """All counts; `chat.total`, `streamed` and `outcomes` leave out probes."""
        counts: dict[str, Any] = {
            "paths": dict(self._paths),
            "chat": {
                "total": self._total,
                "streamed": self._streamed,
                "probes": self._probes,
                "loads": self._loads,
                "aborted": self._outcomes["aborted"],
                "now": len(self._running),
                "peak": self._peak,
                "outcomes": {outcome: n for outcome, n in self._outcomes.items() if n},
            },
        }
        if records:
            counts["records"] = [asdict(record) for record in self._records]
        return counts
