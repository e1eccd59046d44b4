"""How far a batch job is: plain counts, kept by the job, drawn by whoever shows it."""

from __future__ import annotations

import time
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bot_client.batch.verdict import CACHED, SAME_TEXT

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bot_client.batch.verdict import Verdict

RATE_S = 10.0
"""The rate is that of the last so many seconds."""


@dataclass
class Progress:
    """The counts of one job; the rows of earlier runs that wrote to the same output count as done.

    Args:
        job: its id.
        total: rows of the input, where it is known.
        done: rows that have their output row, with a verdict or with an error.
        resumed: those of them that an earlier run wrote.
        rejected: broken rows of the input: they have no output row.
        asked: rows for which a call was opened.
        shared: rows answered by another row of the same text, rules and model.
        cached: rows answered by an earlier job.
        retries: rows submitted again because an outage ended their call.
        providers, verdicts, errors: rows by provider, by verdict, by cause.
        cost_microusd: of the rows that are done.
        window, in_flight: calls allowed and calls open.
        state: `starting`, `running`, `waiting` (for a provider), `paused` (by an operator), `stopping`, `done`,
            `cancelled`, `stopped` (before its end: it can be started again) or `failed`.
        why: one clause about the state: what it waits for, who paused it; empty where there is nothing to say.
    """

    job: str = ""
    name: str = ""
    total: int | None = None
    done: int = 0
    resumed: int = 0
    rejected: int = 0
    asked: int = 0
    shared: int = 0
    cached: int = 0
    retries: int = 0
    providers: Counter[str] = field(default_factory=Counter)
    verdicts: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    cost_microusd: int = 0
    window: int = 0
    in_flight: int = 0
    state: str = "starting"
    why: str = ""
    clock: Callable[[], float] = field(default=time.monotonic, repr=False, compare=False)

    def __post_init__(self) -> None:
        self._began = self.clock()
        self._ended: float | None = None
        self._marks: deque[tuple[float, int]] = deque([(self._began, 0)])

    def count(self, verdict: Verdict) -> None:
        """One more row is done."""
        self.done += 1
        if verdict.error:
            self.errors[verdict.error] += 1
        else:
            self.verdicts[verdict.verdict] += 1
        if verdict.provider:
            self.providers[verdict.provider] += 1
        self.shared += verdict.source == SAME_TEXT
        self.cached += verdict.source == CACHED
        self.cost_microusd += verdict.cost_microusd

    def count_written(self, row: Mapping[str, Any]) -> None:
        """One more row that an earlier run has written to the output."""
        self.done += 1
        self.resumed += 1
        if "error" in row:
            self.errors[str(row["error"]["cause"])] += 1
        else:
            self.verdicts[str(row["verdict"])] += 1
        if row.get("provider"):
            self.providers[str(row["provider"])] += 1
        self.cost_microusd += int(row.get("cost_microusd") or 0)

    @property
    def failed(self) -> int:
        """Rows whose output row is an error."""
        return self.errors.total()

    @property
    def elapsed_s(self) -> float:
        """Since this run began."""
        return (self._ended or self.clock()) - self._began

    @property
    def rate(self) -> float:
        """Rows each second, of the last `RATE_S`; at the end, of the whole run."""
        fresh = self.done - self.resumed
        if self._ended is not None:
            return fresh / max(self.elapsed_s, 0.001)
        now = self.clock()
        if now - self._marks[-1][0] >= RATE_S / 20:
            self._marks.append((now, fresh))
        while len(self._marks) > 2 and now - self._marks[1][0] >= RATE_S:
            self._marks.popleft()
        since, at = self._marks[0]
        return (fresh - at) / max(now - since, 0.001)

    @property
    def left_s(self) -> float | None:
        """Until the end at this rate; None where rows or rate are unknown."""
        rate = self.rate
        if self.total is None or rate <= 0:
            return None
        return max(0, self.total - self.done - self.rejected) / rate

    def end(self, state: str, why: str = "") -> None:
        """This run is over."""
        self.state, self.why, self._ended = state, why, self.clock()
        self.in_flight = 0

    def as_dict(self) -> dict[str, Any]:
        """All of it as plain data, for JSON."""
        left_s = self.left_s
        return {
            "job": self.job,
            "name": self.name,
            "state": self.state,
            "why": self.why,
            "total": self.total,
            "done": self.done,
            "resumed": self.resumed,
            "rejected": self.rejected,
            "failed": self.failed,
            "asked": self.asked,
            "shared": self.shared,
            "cached": self.cached,
            "retries": self.retries,
            "providers": dict(self.providers),
            "verdicts": dict(self.verdicts),
            "errors": dict(self.errors),
            "cost_microusd": self.cost_microusd,
            "window": self.window,
            "in_flight": self.in_flight,
            "rate": round(self.rate, 2),
            "left_s": None if left_s is None else round(left_s, 1),
            "elapsed_s": round(self.elapsed_s, 1),
        }
