"""What the demo prints: its steps, each held or not, and a table of the answers."""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager
from statistics import median
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE
from rich.markup import escape
from rich.table import Column, Table

from bot_client import UnderstudyError
from examples.demo_stack import StackFailed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from rich.console import Console

    from bot_client import Outcome

LONGEST_ANSWER = 40


class NotHeld(Exception):
    """A step showed something else than it says."""


class Step:
    """One step while it runs.

    Args:
        title: what has to hold, in one sentence.
    """

    def __init__(self, title: str) -> None:
        self.title = title
        self.detail = ""

    def check(self, holds: object, otherwise: str) -> None:
        """Go on only where it holds.

        Raises:
            NotHeld: it does not.
        """
        if not holds:
            raise NotHeld(otherwise)


class Board:
    """Prints as things happen, and keeps count."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._steps = self._held = 0
        self._rows: list[tuple[str, list[Outcome[Any]]]] = []
        self.showing = False
        """Steps are being shown: the stack has started, and is not being ended yet."""

    @property
    def all_held(self) -> bool:
        """Whether every step has held, and there was one."""
        return 0 < self._held == self._steps

    def say(self, text: str) -> None:
        """One line."""
        self._console.print(escape(text), soft_wrap=True)

    def part(self, name: str, words: str) -> None:
        """One part of the stack."""
        self._console.print(f"  [bold]{escape(name):<8}[/] {escape(words)}", soft_wrap=True)

    def message(self, verdict: str, text: str) -> None:
        """One message and its verdict."""
        colour = "green" if verdict == "none" else "red"
        line = f"  [{colour}]{escape(verdict):<14}[/] {escape(text)}"
        self._console.print(line, no_wrap=True, overflow="ellipsis")

    @contextmanager
    def step(self, title: str) -> Iterator[Step]:
        """Run the body of a step; what goes wrong within it is shown, and the demo goes on."""
        step = Step(title)
        self._steps += 1
        try:
            yield step
        except (NotHeld, UnderstudyError, StackFailed, TimeoutError) as error:
            self._console.print(f"[red]not held[/]  {escape(title)}", soft_wrap=True)
            self._console.print(f"          {escape(str(error) or type(error).__name__)}", soft_wrap=True)
        else:
            self._held += 1
            detail = f" [dim]({escape(step.detail)})[/]" if step.detail else ""
            self._console.print(f"[green]held[/]      {escape(title)}{detail}", soft_wrap=True)

    def answered(self, label: str, outcomes: Sequence[Outcome[Any]]) -> None:
        """Remember outcomes for the table, as one row."""
        self._rows.append((label, list(outcomes)))

    @property
    def outcomes(self) -> list[Outcome[Any]]:
        """All that were remembered."""
        return [outcome for _, outcomes in self._rows for outcome in outcomes]

    def table(self) -> None:
        """The answers."""
        table = Table("kind", "answer", "provider", "attempts", Column("ms (median)", justify="right"), box=SIMPLE)
        for label, outcomes in self._rows:
            times = [outcome.total_ms for outcome in outcomes]
            who = _counted(str(outcome.provider) for outcome in outcomes)
            columns = (label, _answers(outcomes), who, _tries(outcomes), f"{median(times):.0f}")
            table.add_row(*map(escape, columns))
        self._console.print(table)

    def logs(self, logs: Mapping[str, str]) -> None:
        """The ends of the logs, for who looks for the cause."""
        for name, text in logs.items():
            self._console.print(f"\n[bold]The end of {escape(name)}'s log[/]\n{escape(text)}", soft_wrap=True)

    def close(self) -> None:
        """The last line."""
        self.say(f"demo: {self._steps} steps, {self._held} held")


def _answers(outcomes: Sequence[Outcome[Any]]) -> str:
    return _counted(answer_of(outcome) for outcome in outcomes)


def answer_of(outcome: Outcome[Any]) -> str:
    """An answer in a few words."""
    result: Any = outcome.result
    if outcome.kind == "moderation":
        if result.needs_review:
            return "needs review"
        return f"{result.action}{f' ({result.violation})' if result.violation else ''}"
    text = str(result.name if outcome.kind == "thread_naming" else result.text)
    return text if len(text) <= LONGEST_ANSWER else f"{text[:LONGEST_ANSWER]}..."


def tries_of(outcome: Outcome[Any]) -> str:
    """A call's attempts in a few words."""
    return ", ".join(f"{attempt.provider} {attempt.what}" for attempt in outcome.attempts) or "none"


def _tries(outcomes: Sequence[Outcome[Any]]) -> str:
    return _counted(tries_of(outcome) for outcome in outcomes)


def _counted(words: Iterator[str]) -> str:
    counts = Counter(words)
    if len(counts) == 1:
        return next(iter(counts))
    return "; ".join(f"{count} {word}" for word, count in counts.most_common())
