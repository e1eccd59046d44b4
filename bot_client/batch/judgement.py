"""How models judge labelled messages: confusion, precision and recall, and whether two of them agree."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from itertools import combinations
from typing import TYPE_CHECKING, Any

from bot_client.batch.labelled import ANY, NONE, VIOLATIONS
from bot_client.batch.verdict_lines import ERROR

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bot_client.batch.labelled import Labelled
    from bot_client.batch.verdict import Verdict

NEEDS_REVIEW = "needs_review"
SAID = (NONE, *VIOLATIONS, NEEDS_REVIEW, ERROR)
"""What becomes of a message: no violation, one of them, or no judgement."""


@dataclass(frozen=True)
class Score:
    """How well one kind of violation is found, among the messages that were judged.

    Args:
        found: of those that have it; missed: the rest; wrong: messages that do not have it.
    """

    name: str
    found: int
    missed: int
    wrong: int

    @property
    def precision(self) -> float | None:
        """Of those that it is said of, the share that have it; None where it is said of none."""
        return _share(self.found, self.found + self.wrong)

    @property
    def recall(self) -> float | None:
        """Of those that have it, the share that it is said of; None where none has it."""
        return _share(self.found, self.found + self.missed)

    @property
    def f1(self) -> float | None:
        """The harmonic mean of both."""
        return _share(2 * self.found, 2 * self.found + self.missed + self.wrong)

    def as_dict(self) -> dict[str, Any]:
        """All of it as plain data."""
        counts = {"name": self.name, "found": self.found, "missed": self.missed, "wrong": self.wrong}
        return counts | {"precision": self.precision, "recall": self.recall, "f1": self.f1}


@dataclass(frozen=True)
class Judgement:
    """What one provider's model said of the messages.

    Args:
        said: for each message, one of `SAID`.
        confusion: (label, said) → messages.
        errors: by cause.
    """

    provider: str
    model: str
    said: Sequence[str]
    confusion: Counter[tuple[str, str]]
    scores: Sequence[Score]
    errors: Counter[str] = field(default_factory=Counter)
    cost_microusd: int = 0

    @property
    def judged(self) -> int:
        """Messages that got a judgement."""
        return sum(_judged(said) for said in self.said)

    def as_dict(self) -> dict[str, Any]:
        """All of it as plain data."""
        table: dict[str, dict[str, int]] = {}
        for (label, said), number in sorted(self.confusion.items()):
            table.setdefault(label, {})[said] = number
        return {
            "provider": self.provider,
            "model": self.model,
            "messages": len(self.said),
            "judged": self.judged,
            "confusion": table,
            "scores": [score.as_dict() for score in self.scores],
            "errors": dict(self.errors),
            "cost_microusd": self.cost_microusd,
        }


@dataclass(frozen=True)
class Agreement:
    """Whether two providers say the same of the messages that both judged.

    Args:
        pairs: (said by the first, by the second) → messages.
    """

    first: str
    second: str
    pairs: Counter[tuple[str, str]]

    @property
    def both(self) -> int:
        """Messages that both judged."""
        return self.pairs.total()

    @property
    def same(self) -> int:
        """Of those, messages of which both say the same."""
        return sum(number for (one, other), number in self.pairs.items() if one == other)

    @property
    def kappa(self) -> float | None:
        """Cohen's kappa: how far beyond chance they agree, 1 at most; None where chance alone would make them."""
        ones, others = Counter[str](), Counter[str]()
        for (one, other), number in self.pairs.items():
            ones[one] += number
            others[other] += number
        chance = sum(ones[name] * others[name] for name in ones) / self.both**2 if self.both else 1
        return (self.same / self.both - chance) / (1 - chance) if chance < 1 else None

    def as_dict(self) -> dict[str, Any]:
        """All of it as plain data."""
        rows = [{self.first: one, self.second: other, "messages": n} for (one, other), n in self.pairs.most_common()]
        known = {"first": self.first, "second": self.second, "both": self.both, "same": self.same}
        return known | {"share": _share(self.same, self.both), "kappa": self.kappa, "pairs": rows}


def said_of(verdict: Verdict) -> str:
    """What a verdict says, as one of `SAID`."""
    if verdict.result is None:
        return ERROR
    if verdict.result.needs_review:
        return NEEDS_REVIEW
    return verdict.result.violation.value if verdict.result.violation else NONE


def judgement_of(rows: Sequence[Labelled], said: Sequence[str], provider: str, model: str, **more: Any) -> Judgement:
    """Judge the judge."""
    confusion = Counter((row.label, what) for row, what in zip(rows, said, strict=True))
    pairs = Counter((row.expected, what) for row, what in zip(rows, said, strict=True) if _judged(what))
    expected = {row.expected for row in rows}
    scores = [score_of(name, pairs) for name in (ANY, *VIOLATIONS) if name == ANY or name in expected]
    return Judgement(provider, model, said, confusion, scores, **more)


def score_of(name: str, pairs: Mapping[tuple[str, str], int]) -> Score:
    """How well a violation is found.

    Args:
        name: of the violation; `any` asks only whether there is one.
        pairs: (expected, said) → judged messages. One that is expected to have any violation counts for none of them.
    """
    found = missed = wrong = 0
    for (expected, said), number in pairs.items():
        if name != ANY and expected == ANY:
            continue
        has, is_said = (expected != NONE, said != NONE) if name == ANY else (expected == name, said == name)
        found += number * (has and is_said)
        missed += number * (has and not is_said)
        wrong += number * (is_said and not has)
    return Score(name, found, missed, wrong)


def agreements(judgements: Sequence[Judgement]) -> list[Agreement]:
    """Each two of them, compared."""
    return [
        Agreement(
            one.provider,
            other.provider,
            Counter(pair for pair in zip(one.said, other.said, strict=True) if all(map(_judged, pair))),
        )
        for one, other in combinations(judgements, 2)
    ]


def _judged(said: str) -> bool:
    return said not in (NEEDS_REVIEW, ERROR)


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
