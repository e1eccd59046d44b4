"""What an output file comes to: counts, durations and their course, in memory that does not grow with the rows."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from bot_client.batch.verdict_lines import ERROR, verdict_in

if TYPE_CHECKING:
    from collections.abc import Iterable

MOST_NAMES = 40
"""Of providers, causes and the like; a file that has more is not one of ours."""

OTHERS = "others"
NOBODY = "nobody"
PER_DECADE = 20
"""Buckets of durations between 10 ms and 100 ms, and so on: neighbours are 12 % apart."""

MOST_MARKS = 120
"""Bars of a course over time."""


class Histogram:
    """Durations in buckets of growing width."""

    def __init__(self) -> None:
        self.buckets: Counter[int] = Counter()

    def add(self, ms: float) -> None:
        """Count a duration."""
        self.buckets[round(math.log10(max(ms, 1)) * PER_DECADE)] += 1

    def quantile(self, share: float) -> float | None:
        """The duration, in milliseconds, that this share of all does not exceed; None without any."""
        rank = share * self.buckets.total()
        for bucket in sorted(self.buckets):
            rank -= self.buckets[bucket]
            if rank <= 0:
                return float(10 ** (bucket / PER_DECADE))
        return None


class Course:
    """Counts by name over time, in at most `MOST_MARKS` spans, which grow with the time that they cover."""

    def __init__(self) -> None:
        self.width_s = 1
        self.spans: dict[int, Counter[str]] = {}

    def add(self, at_s: float, name: str) -> None:
        """Count a name at a time."""
        key = int(at_s // self.width_s)
        while self.spans and max(key, *self.spans) - min(key, *self.spans) >= MOST_MARKS:
            self.width_s *= 2
            merged: dict[int, Counter[str]] = {}
            for old, counts in self.spans.items():
                merged.setdefault(old // 2, Counter()).update(counts)
            self.spans, key = merged, int(at_s // self.width_s)
        self.spans.setdefault(key, Counter())[name] += 1

    def filled(self) -> list[tuple[int, Counter[str]]]:
        """All spans from the first to the last, each with the second it begins at."""
        if not self.spans:
            return []
        keys = range(min(self.spans), max(self.spans) + 1)
        return [(key * self.width_s, self.spans.get(key, Counter())) for key in keys]


@dataclass
class Answerer:
    """What one provider's model answered."""

    verdicts: Counter[str] = field(default_factory=Counter)
    durations: Histogram = field(default_factory=Histogram)
    cost_microusd: int = 0

    @property
    def rows(self) -> int:
        """How many it answered."""
        return self.verdicts.total()


@dataclass
class Figures:
    """An output file in figures.

    Args:
        answerers: by provider and model.
        durations: only of rows that were asked for: others took no time.
        course: by provider, with `error`.
        sources: `asked`, `same_text`, `cache`.
        again: rows that took more than one attempt.
    """

    rows: int = 0
    verdicts: Counter[str] = field(default_factory=Counter)
    violations: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    sources: Counter[str] = field(default_factory=Counter)
    answerers: dict[tuple[str, str], Answerer] = field(default_factory=dict)
    course: Course = field(default_factory=Course)
    again: int = 0
    cost_microusd: int = 0
    first_s: float | None = None
    last_s: float | None = None

    def add(self, row: dict[str, Any]) -> None:
        """Count a row."""
        verdict, cost = verdict_in(row), int(row.get("cost_microusd") or 0)
        self.rows += 1
        self.cost_microusd += cost
        self.again += int(row.get("attempts") or 0) > 1
        provider = str(row.get("provider") or NOBODY)
        if verdict == ERROR:
            error = row["error"]
            cause = error.get("cause", "") if isinstance(error, dict) else error
            _count(self.errors, str(cause) or ERROR)
        else:
            _count(self.verdicts, verdict)
            _count(self.sources, str(row.get("source") or "asked"))
            if row.get("violation"):
                _count(self.violations, str(row["violation"]))
            self._answered(provider, verdict, row, cost)
        at_s = seconds(row.get("at"))
        if at_s is not None:
            self.first_s = at_s if self.first_s is None else min(at_s, self.first_s)
            self.last_s = at_s if self.last_s is None else max(at_s, self.last_s)
            self.course.add(at_s, ERROR if verdict == ERROR else self._known(provider))

    def _answered(self, provider: str, verdict: str, row: dict[str, Any], cost: int) -> None:
        who = (provider, str(row.get("model") or ""))
        if who not in self.answerers and len(self.answerers) >= MOST_NAMES:
            who = (OTHERS, "")
        answerer = self.answerers.setdefault(who, Answerer())
        _count(answerer.verdicts, verdict)
        answerer.cost_microusd += cost
        if row.get("source", "asked") == "asked":
            answerer.durations.add(float(row.get("ms") or 0))

    def _known(self, provider: str) -> str:
        return provider if any(provider == name for name, _ in self.answerers) else OTHERS


def figures_of(rows: Iterable[dict[str, Any]]) -> Figures:
    """The figures of all rows."""
    figures = Figures()
    for row in rows:
        figures.add(row)
    return figures


def seconds(at: object) -> float | None:
    """A time as seconds since 1970; None where it is none."""
    try:
        return datetime.fromisoformat(str(at)).timestamp()
    except (ValueError, OverflowError):
        return None


def _count(counter: Counter[str], name: str) -> None:
    counter[name if name in counter or len(counter) < MOST_NAMES else OTHERS] += 1
