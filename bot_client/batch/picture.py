"""A job's counts, for people: a drawing, a sentence, a summary."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from understudy.money import dollars
from understudy.words import count, printable, span

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bot_client.batch.progress import Progress

_STYLES = {"running": "green", "done": "green", "waiting": "yellow", "paused": "yellow", "failed": "red"}
_BAR = 40
ANSWERS = ("verdicts", "providers", "errors")


def picture(progress: Progress) -> RenderableType:
    """The figures of a running job, with a bar."""
    name = printable(progress.name or progress.job)
    head = Text.assemble((f"{name}  " if name else "", "bold"), _state(progress))
    far = Table.grid(padding=(0, 2))
    bar = [ProgressBar(progress.total, progress.done + progress.rejected, width=_BAR)] if progress.total else []
    far.add_row(*bar, _done(progress))
    calls = f"window {progress.window}, {progress.in_flight:,} in flight, cost {dollars(progress.cost_microusd)}"
    return Group(head, far, Text(_pace(progress)), Text(calls), _table(progress))


def sentence(progress: Progress) -> str:
    """The same in one line."""
    parts = [_state(progress).plain, _done(progress), _pace(progress)]
    parts += [f"window {progress.window}", f"cost {dollars(progress.cost_microusd)}"]
    parts += [f"{name}: {counted(counts)}" for name in ANSWERS if (counts := getattr(progress, name))]
    return "; ".join(part for part in parts if part)


def summary(progress: Progress) -> RenderableType:
    """How a run ended, in figures."""
    table = Table.grid(padding=(0, 2))
    table.add_row("job", printable(f"{progress.job}  {progress.name}".strip()))
    table.add_row("ended", _state(progress))
    fresh = progress.done - progress.resumed
    table.add_row("rows", _done(progress) + (f", {progress.resumed:,} by earlier runs" if progress.resumed else ""))
    table.add_row("took", f"{span(progress.elapsed_s * 1000)}" + (f", {progress.rate:,.1f}/s" if fresh else ""))
    table.add_row("cost", dollars(progress.cost_microusd))
    return Group(table, _table(progress))


def counted(counts: Mapping[str, int]) -> str:
    """Counts by name, the largest first, with their shares: `none 4,100 (82 %), delete 900 (18 %)`."""
    total = sum(counts.values()) or 1
    rows = sorted(counts.items(), key=lambda row: (-row[1], row[0]))
    return ", ".join(f"{printable(name)} {number:,} ({100 * number / total:.0f} %)" for name, number in rows)


def _table(progress: Progress) -> Table:
    table = Table.grid(padding=(0, 2))
    for name in ANSWERS:
        if counts := getattr(progress, name):
            table.add_row(name, counted(counts), style="red" if name == "errors" else "")
    more = {
        "asked": progress.asked,
        "answered with another row": progress.shared,
        "from an earlier job": progress.cached,
        "asked again after an outage": progress.retries,
        "broken": progress.rejected,
    }
    table.add_row("calls", ", ".join(f"{number:,} {name}" for name, number in more.items() if number) or "none yet")
    return table


def _state(progress: Progress) -> Text:
    why = f" ({printable(progress.why)})" if progress.why else ""
    return Text(progress.state + why, style=_STYLES.get(progress.state, ""))


def _done(progress: Progress) -> str:
    if progress.total is None:
        return count(progress.done, "row")
    share = 100 * (progress.done + progress.rejected) / progress.total if progress.total else 100
    return f"{progress.done:,} of {progress.total:,} ({share:.0f} %)"


def _pace(progress: Progress) -> str:
    rate, left_s = progress.rate, progress.left_s
    left = "" if left_s is None else f", {span(left_s * 1000)} left"
    return f"{rate:,.1f}/s{left}, {span(progress.elapsed_s * 1000)} gone"
