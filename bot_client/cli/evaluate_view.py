"""What `evaluate` found, as tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from bot_client.batch.judgement import SAID
from bot_client.batch.picture import counted
from understudy.money import dollars
from understudy.words import count, printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bot_client.batch.judgement import Agreement, Judgement
    from bot_client.batch.labelled import Labelled

MOST_PAIRS = 6


def view(rows: Sequence[Labelled], judgements: Sequence[Judgement], agreements: Sequence[Agreement]) -> RenderableType:
    """All of it for people."""
    labels = {row.label: row.expected for row in rows}
    parts: list[RenderableType] = []
    for judgement in judgements:
        parts += [*_judgement(judgement, labels), Text()]
    for agreement in agreements:
        parts += [*_agreement(agreement), Text()]
    return Group(*parts[:-1])


def _judgement(judgement: Judgement, labels: dict[str, str]) -> Iterator[RenderableType]:
    head = f"{judgement.provider} ({judgement.model}): {count(len(judgement.said), 'message')}"
    head += f", {judgement.judged:,} judged"
    head += f", {dollars(judgement.cost_microusd)}" if judgement.cost_microusd else ""
    yield Text(printable(head), style="bold")
    said = [name for name in SAID if any(judgement.confusion[label, name] for label in labels)]
    table = _table("Label", "Expected", *said)
    for label, expected in labels.items():
        counts = [f"{judgement.confusion[label, name]:,}" for name in said]
        table.add_row(printable(label), expected, *counts)
    yield table
    yield Text()
    table = _table("Violation", "Precision", "Recall", "F1", "Found", "Missed", "Wrongly said")
    for score in judgement.scores:
        shares = [_share(value) for value in (score.precision, score.recall, score.f1)]
        table.add_row(score.name, *shares, f"{score.found:,}", f"{score.missed:,}", f"{score.wrong:,}")
    yield table
    if judgement.errors:
        yield Text(f"Without a judgement: {counted(judgement.errors)}", style="red")


def _agreement(agreement: Agreement) -> Iterator[RenderableType]:
    share = f" ({100 * agreement.same / agreement.both:.1f} %)" if agreement.both else ""
    kappa = f", Cohen's kappa {agreement.kappa:.2f}" if agreement.kappa is not None else ""
    head = f"{agreement.first} and {agreement.second} say the same of {agreement.same:,} of {agreement.both:,}"
    yield Text(printable(f"{head}{share}{kappa}"), style="bold")
    differing = [(pair, number) for pair, number in agreement.pairs.most_common() if pair[0] != pair[1]]
    if differing:
        table = _table(agreement.first, agreement.second, "Messages")
        for (one, other), number in differing[:MOST_PAIRS]:
            table.add_row(one, other, f"{number:,}")
        yield table


def _share(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f} %"


def _table(*headers: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for header in headers:
        table.add_column(printable(header), overflow="fold")
    return table
