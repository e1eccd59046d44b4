"""Explicit-state explorer: breadth first, shortest counterexample first.

A model gives `initial()`, `successors(state)` -> (label, kind, state) and `good(state)`.
kind: 'step' (what a correct system does by itself) or 'fault' (what only bad luck or a user does).
A state may carry `bad` (a sentence): an invariant broken on the way into it.
Liveness: from every reachable state a good state can be reached by 'step' edges alone.
"""

from __future__ import annotations

import gc
import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable


class Model(Protocol):
    """What the explorer asks of a model."""

    def initial(self) -> Any:
        """The first state."""

    def successors(self, s: Any) -> Iterable[tuple[str, str, Any]]:
        """What may happen next."""

    def bad(self, s: Any) -> str | None:
        """The invariant that this state breaks."""

    def good(self, s: Any) -> bool:
        """Whether this is an end that everybody wants."""

    def why_not_good(self, s: Any) -> str:
        """What is missing."""


@dataclass
class Report:
    """What one exploration found."""

    name: str
    states: int = 0
    edges: int = 0
    seconds: float = 0.0
    complete: bool = True
    bad: str | None = None
    trace: list[str] = field(default_factory=list)

    def line(self) -> str:
        """One line for a table."""
        verdict = f"VIOLATED: {self.bad}" if self.bad else ("holds" if self.complete else "holds so far (limit)")
        return f"{self.name:<34} {self.states:>8} states {self.edges:>9} edges {self.seconds:6.1f} s  {verdict}"


def explore(model: Model, name: str, limit: int = 600_000) -> Report:
    """Explore every state that can be reached, up to `limit` of them."""
    # States are tuples without cycles: the collector would only walk through millions of them, over and over.
    collecting = gc.isenabled()
    gc.disable()
    try:
        return _explore(model, name, limit)
    finally:
        if collecting:
            gc.enable()


def _explore(model: Model, name: str, limit: int) -> Report:
    started = time.monotonic()
    report = Report(name)
    first = model.initial()
    index = {first: 0}
    states = [first]
    parent: list[tuple[int, str]] = [(-1, "start")]
    back: list[list[int]] = [[]]
    queue = deque([0])

    def trace(i: int) -> list[str]:
        out: list[str] = []
        while i >= 0:
            i, label = parent[i]
            out.append(label)
        return out[::-1]

    def finish(bad: str | None = None, at: int | None = None) -> Report:
        report.states, report.seconds = len(states), time.monotonic() - started
        report.bad = bad
        if at is not None:
            report.trace = trace(at)
        return report

    while queue:
        i = queue.popleft()
        for label, kind, nxt in model.successors(states[i]):
            report.edges += 1
            j = index.get(nxt)
            if j is None:
                j = index[nxt] = len(states)
                states.append(nxt)
                parent.append((i, label))
                back.append([])
                bad = model.bad(nxt)
                if bad:
                    return finish(bad, j)
                queue.append(j)
            if kind == "step":
                back[j].append(i)
        if len(states) > limit:
            report.complete = False
            break
    if report.complete:
        seen = bytearray(len(states))
        stack = [i for i, s in enumerate(states) if model.good(s)]
        for i in stack:
            seen[i] = 1
        while stack:
            for i in back[stack.pop()]:
                if not seen[i]:
                    seen[i] = 1
                    stack.append(i)
        for i in range(len(states)):
            if not seen[i]:
                return finish("stuck: " + model.why_not_good(states[i]), i)
    return finish()
