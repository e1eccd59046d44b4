"""`report` and `diff`: what became of a batch job, from its output file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from bot_client.batch.difference import EXAMPLES, Difference, difference_of
from bot_client.batch.report import write_report
from bot_client.cli.options import json_option
from bot_client.cli.output import document, is_json, line
from bot_client.cli.terminal import console
from understudy.words import count, printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bot_client.batch.difference import Change


@click.command()
@click.argument("verdicts", type=click.Path(path_type=Path))
@click.option("--out", "out", required=True, metavar="PAGE", type=click.Path(path_type=Path), help="The page to write.")
@json_option
def report(verdicts: Path, out: Path) -> None:
    """Write the figures and plots of a job's output VERDICTS as one HTML page."""
    write_report(verdicts, out)
    if is_json():
        document({"report": str(out)})
    else:
        line(f"Written: {out}")


@click.command()
@click.argument("old", type=click.Path(path_type=Path))
@click.argument("new", type=click.Path(path_type=Path))
@click.option("--examples", type=click.IntRange(0, 1000), default=EXAMPLES, help="Rows to name for each change.")
@json_option
def diff(old: Path, new: Path, examples: int) -> None:
    """Show what changed from the output OLD of a batch job to the output NEW of another."""
    found = difference_of(old, new, examples)
    if is_json():
        document(found.as_dict())
    else:
        console().print(difference_view(found))


def difference_view(found: Difference) -> RenderableType:
    """The difference for people."""
    share = f" ({100 * found.changed / found.compared:.1f} %)" if found.compared else ""
    head = f"{count(found.compared, 'row')} in both, {found.changed:,} changed{share}"
    for name, number in (("the old one", found.only_old), ("the new one", found.only_new)):
        head += f"; {number:,} only in {name}" if number else ""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for header in ("Old", "New", "Rows", "Such as"):
        table.add_column(header, overflow="fold")
    for change in found.changes:
        style = "" if change.old != change.new else "dim"
        table.add_row(
            printable(change.old), printable(change.new), f"{change.rows:,}", "\n".join(_examples(change)), style=style
        )
    return Group(Text(head), Text(), table) if found.changes else Text(head)


def _examples(change: Change) -> Iterator[str]:
    for example in change.examples:
        then, now = example.old_reason, example.new_reason
        why = f"{then} -> {now}" if then and now and then != now else now or then
        yield printable(f"{example.id}: {why}" if why else example.id)
