"""`spend`: what was charged, to whom and when."""

from __future__ import annotations

import asyncio
from datetime import date, timedelta
from typing import Any

import click

from bot_client.cli.estimate import estimated
from bot_client.cli.estimate import view as estimate_view
from bot_client.cli.exits import Exit
from bot_client.cli.installation import installed
from bot_client.cli.options import json_option, seconds_of
from bot_client.cli.output import document, is_json, line
from bot_client.cli.spend_view import as_csv, check_view, checked_of, spend_of, view
from bot_client.cli.terminal import console
from understudy.estimate import FRAMES
from understudy.settings import load_settings
from understudy.settings_money import Budgets
from understudy.state.reconcile import reconcile
from understudy.state.spend import BY, By, Spend


class Since(click.ParamType[date | timedelta]):
    """A first day, given as `2026-11-01`, or how many days, such as `7d`."""

    name = "since"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> date | timedelta:
        """The day, or the span."""
        if isinstance(value, date | timedelta):
            return value
        try:
            return date.fromisoformat(str(value))
        except ValueError:
            seconds = seconds_of(str(value))
        if seconds is None or not 86_400 <= seconds <= 86_400 * 3660:
            self.fail("it must be a day such as 2026-11-01, or a number of days such as 7d", param, ctx)
        return timedelta(days=seconds // 86_400)


class Day(click.ParamType[date]):
    """A day, given as `2026-11-01`."""

    name = "day"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> date:
        """The day."""
        try:
            return value if isinstance(value, date) else date.fromisoformat(str(value))
        except ValueError:
            self.fail("it must be a day such as 2026-11-01", param, ctx)


@click.command()
@click.option("--by", type=click.Choice(BY), default="day", show_default=True, help="What to tell apart.")
@click.option("--since", type=Since(), help="The first day, or how many days, such as 30d (default 7d).")
@click.option("--until", type=Day(), help="The last day (default today).")
@click.option("--csv", "as_table", is_flag=True, help="Print the rows as CSV.")
@click.option("--estimate", "path", metavar="FILE", help="What FILE's messages would cost: JSONL, CSV, TSV, .gz or -.")
@click.option("--kind", type=click.Choice(tuple(FRAMES)), default="moderation", help="Of --estimate.")
@click.option("--check", is_flag=True, help="Add up the requests in all records, and compare them with the totals.")
@json_option
def spend(
    *,
    by: By,
    since: date | timedelta | None,
    until: date | None,
    as_table: bool,
    path: str | None,
    kind: str,
    check: bool,
) -> int:
    """Show what was charged, and how far each budget is used up. Days and hours are those of UTC."""
    if as_table and is_json():
        raise click.UsageError("--csv and --json do not go together: choose one.")
    if (path is not None) + check + as_table > 1:
        raise click.UsageError("--estimate, --check and --csv do not go together: choose one.")
    if path is not None:
        told = asyncio.run(estimated(path, kind, load_settings()))
        if is_json():
            document(told)
        else:
            console().print(estimate_view(told))
        return Exit.OK
    if check:
        checked = asyncio.run(_check())
        if is_json():
            document(checked)
        else:
            line(check_view(checked))
        return Exit.OK if checked["agrees"] else Exit.FAILED
    spent = asyncio.run(_read(by, since, until))
    if is_json():
        document(spent)
    elif as_table:
        click.echo(as_csv(spent), nl=False)
    else:
        console().print(view(spent))
    return Exit.OK


async def _check() -> dict[str, Any]:
    async with installed() as here:
        return checked_of(await reconcile(here.redis, here.keys))


async def _read(by: By, since: date | timedelta | None, until: date | None) -> dict[str, Any]:
    async with installed() as here:
        spend = Spend(here.redis, here.keys)
        return spend_of(await spend.report(by=by, since=since, until=until, budgets=Budgets.of(here.settings)))
