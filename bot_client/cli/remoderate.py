"""`remoderate`: judge many messages beside live traffic, from a file into a file."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from redis.exceptions import RedisError

from bot_client.batch.display import Display, display
from bot_client.batch.filing import Again, Filing
from bot_client.batch.foresight import Foresight, foreseen
from bot_client.batch.lines import STDIN, Lines
from bot_client.batch.plan import Plan
from bot_client.batch.reading import FORMATS, Shape, format_of, read_time
from bot_client.cli.amounts import Dollars
from bot_client.cli.exits import Exit
from bot_client.cli.options import SPENDS, json_option, seconds_of, text_in
from bot_client.cli.output import is_json
from bot_client.cli.terminal import console
from bot_client.client import Understudy
from understudy.contracts.call import Spend
from understudy.errors import InvalidRequest
from understudy.money import dollars
from understudy.settings import load_settings
from understudy.words import span

if TYPE_CHECKING:
    from collections.abc import Iterable

GRACE_S = 5.0
"""How long rows in flight are waited for after Ctrl-C or SIGTERM."""

SWITCH_S = 0.0005
"""The publisher's thread gives the interpreter back to the event loop so soon; Python's default is 5 ms."""


class Rate(click.ParamType[float]):
    """Calls in a time, given as `5`, `5/s` or `100/min`, read as calls each second."""

    name = "rate"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Calls each second."""
        number, _, unit = str(value).partition("/")
        seconds = seconds_of(f"1{unit or 's'}")
        with suppress(ValueError):
            if seconds and 0 < float(number) < float("inf"):
                return float(number) / seconds
        return self.fail("it must be a rate such as 5/s or 100/min", param, ctx)


class Since(click.ParamType[datetime]):
    """A moment, given in ISO 8601 or as a span before now, such as `7d`."""

    name = "since"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """The moment."""
        if (seconds := seconds_of(str(value))) is not None and not str(value).isdigit():
            return datetime.now(UTC) - timedelta(seconds=seconds)
        try:
            return read_time(str(value))
        except (ValueError, OverflowError):
            self.fail("it must be a time such as 2026-11-01 or 2026-11-01T12:00Z, or a span such as 7d", param, ctx)


@click.command()
@click.argument("source", metavar="INPUT")
@click.option("--out", required=True, type=click.Path(path_type=Path, dir_okay=False), help="Where the verdicts go.")
@click.option("--rules", "rules_file", metavar="FILE", help="The group's rules, for rows that bring none.")
@click.option("--format", "form", type=click.Choice(FORMATS), help="Of the input; by its name without.")
@click.option("--map", "columns", metavar="FIELD=COLUMN", multiple=True, help="Where a field is: text=v2, id=line.")
@click.option("--columns", "header", metavar="A,B,…", help="The columns of a table without a header.")
@click.option("--since", type=Since(), help="Only rows whose time is not before it: 2026-11-01, or 7d.")
@click.option("--limit", type=click.IntRange(1), help="Only the first rows of the input.")
@click.option("--window", type=int, help="Rows in flight at most; else what batch workers can take.")
@click.option("--rate", type=Rate(), help="Calls begun at most: 5/s, 100/min.")
@click.option(
    "--spend", type=click.Choice(SPENDS), default="defer", show_default=True, help="Whether it may cost money."
)
@click.option("--budget-usd", "budget", type=Dollars(), metavar="X", help="What the whole job may cost.")
@click.option("--local-only", is_flag=True, help="Only providers that are marked as local may see the text.")
@click.option("--resume/--restart", default=True, help="Go on where the output ends (default), or begin anew.")
@click.option("--retry-failed", is_flag=True, help="Ask those rows again that failed, and no others.")
@click.option("--cause", "causes", multiple=True, help="With --retry-failed: only rows that failed so.")
@click.option("--cache", type=click.Path(path_type=Path, dir_okay=False), help="A file with answers of earlier jobs.")
@click.option("--cache-days", type=float, default=30.0, show_default=True, help="How long those are taken.")
@click.option("--strict", is_flag=True, help="End at the first broken row.")
@click.option("--name", help="Shown to operators; the name of the input without.")
@click.option("--report", type=click.Path(path_type=Path, dir_okay=False), help="At the end, a page of figures.")
@click.option("--diff", "old", type=click.Path(path_type=Path, exists=True), help="At the end, what changed since OLD.")
@click.option("--yes", is_flag=True, help="Do not ask before money may be spent.")
@json_option
def remoderate(source: str, *, out: Path, report: Path | None, old: Path | None, **options: Any) -> int:
    """Judge the messages of INPUT (JSON lines, CSV or TSV; - is standard input) beside live traffic.

    Verdicts are a report: nothing is applied. Started again it goes on where it stopped.
    """
    if report:
        from bot_client.batch.report import require_plotly  # noqa: PLC0415 - slow to load

        require_plotly()
    status = asyncio.run(_remoderate(source, out, **options))
    if status is not Exit.INTERRUPTED:
        _afterwards(out, report, old)
    return status


async def _remoderate(
    source: str,
    out: Path,
    *,
    rules_file: str | None,
    form: str | None,
    columns: Iterable[str],
    header: str | None,
    since: datetime | None,
    limit: int | None,
    window: int | None,
    rate: float | None,
    spend: str,
    budget: int | None,
    local_only: bool,
    resume: bool,
    retry_failed: bool,
    causes: Iterable[str],
    cache: Path | None,
    cache_days: float,
    strict: bool,
    name: str | None,
    yes: bool,
) -> Exit:
    if causes and not retry_failed:
        raise click.UsageError("--cause goes with --retry-failed.")
    if retry_failed and not resume:
        raise click.UsageError("--retry-failed and --restart exclude each other.")
    rules = text_in(rules_file) if rules_file else None
    shape = Shape(
        form or format_of(source), _mapped(columns), tuple(header.split(",")) if header else (), rules, since, limit
    )
    lines = Lines(source)
    plan = Plan(
        name=name or lines.name,
        rules=rules,
        window=window,
        spend=Spend(spend),
        local_only=local_only,
        budget_microusd=budget,
        rate=rate,
        cache=cache,
        cache_days=cache_days,
        input=lines.name,
        output=out.name,
    )
    again = Again(frozenset(causes)) if retry_failed else None
    filing = Filing(lines, shape, out, plan, restart=not resume, strict=strict, again=again)
    shown = display(as_json=is_json())
    try:
        await filing.open()
        async with Understudy.from_settings() as llm:
            await _say_before(llm, filing, shape, source, shown, yes=yes)
            _heed_signals(filing)
            sys.setswitchinterval(SWITCH_S)
            shown.start(filing.progress)
            try:
                await filing.run(llm, shown.update)
            finally:
                shown.end(filing.progress)
    finally:
        filing.close()
    _say_after(filing, shown)
    if filing.progress.state == "stopped":
        return Exit.INTERRUPTED
    return Exit.FAILED if filing.progress.failed or filing.progress.rejected else Exit.OK


async def _say_before(llm: Understudy, filing: Filing, shape: Shape, source: str, shown: Display, *, yes: bool) -> None:
    """What it will cost and take; asked about where it may cost something and nothing caps it."""
    plan, ahead = filing.plan, None
    try:
        ahead = await foreseen(source, shape, plan, load_settings(), llm._desk())  # noqa: SLF001 - our own half
        filing.progress.total = ahead.rows
        shown.note(_sentence(ahead, plan))
    except RedisError as error:
        shown.note(f"Redis cannot be reached ({type(error).__name__}): the job begins when it answers.")
    if yes or plan.spend is not Spend.ALLOW or plan.budget_microusd is not None or (ahead and not ahead.paid):
        return
    if is_json() or source == STDIN or not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise click.UsageError("With --spend allow it may cost money: give --budget-usd, or --yes.")
    click.confirm("It may cost that much; go on?", default=False, abort=True, err=True)


def _sentence(ahead: Foresight, plan: Plan) -> str:
    rows = "Rows from standard input" if ahead.rows is None else f"About {ahead.rows:,} rows"
    parts = [f"{rows}: about {span(ahead.seconds * 1000)} as things are now" if ahead.seconds else rows]
    if ahead.why:
        parts.append(f"nothing can begin yet ({ahead.why})")
    if plan.spend is Spend.NEVER or not ahead.paid:
        parts.append("it costs nothing")
    elif ahead.likely is None:
        parts.append(f"what {ahead.paid} would cost is not known here")
    else:
        parts.append(f"if {ahead.paid} answered all of them, {dollars(ahead.likely)}")
    if plan.budget_microusd is not None:
        parts.append(f"never more than {dollars(plan.budget_microusd)}")
    return "; ".join(parts) + "."


def _say_after(filing: Filing, shown: Display) -> None:
    progress, out = filing.progress, filing.output
    if progress.rejected:
        shown.note(f"{progress.rejected:,} broken rows are named in {out.rejected_path}.")
    if progress.failed:
        causes = ", ".join(f"{number:,} {cause}" for cause, number in progress.errors.most_common())
        shown.note(f"{progress.failed:,} rows failed ({causes}); --retry-failed asks those again.")
    if progress.state == "stopped":
        shown.note("Stopped before the end: the same command goes on from here.")


def _afterwards(out: Path, report: Path | None, old: Path | None) -> None:
    from bot_client.batch.difference import difference_of  # noqa: PLC0415 - only where asked for
    from bot_client.batch.report import write_report  # noqa: PLC0415
    from bot_client.cli.results import difference_view  # noqa: PLC0415

    if report:
        write_report(out, report)
    if old:
        found = difference_of(old, out)
        if is_json():
            click.echo(json.dumps({"event": "diff", **found.as_dict()}))
        else:
            console().print(difference_view(found))


def _heed_signals(filing: Filing) -> None:
    """The first one ends the job in order, the second at once."""
    asked = False

    def stop() -> None:
        nonlocal asked
        filing.stop(0 if asked else GRACE_S)
        asked = True

    loop = asyncio.get_running_loop()
    for which in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(which, stop)


def _mapped(columns: Iterable[str]) -> dict[str, str]:
    found = {}
    for given in columns:
        field, _, column = given.partition("=")
        if not column:
            raise InvalidRequest(f"remoderate: --map takes FIELD=COLUMN, such as text=v2; it was {given[:40]!r}.")
        found[field] = column
    return found
