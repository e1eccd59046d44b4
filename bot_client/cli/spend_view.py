"""What was charged as one document, as tables and as CSV."""

from __future__ import annotations

import csv
import io
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from understudy.money import MICRO, dollars
from understudy.words import count, printable, words

if TYPE_CHECKING:
    from collections.abc import Mapping

    from understudy.state.reconcile import Reconciled
    from understudy.state.spend import SpendReport

BAR = 20
"""Characters of a full bar."""

_WARN, _FULL = 80.0, 100.0
"""Per cent of a budget from which its bar is yellow, and red."""


def spend_of(report: SpendReport) -> dict[str, Any]:
    """What `spend --json` prints; money is in micro-dollars."""
    return {
        "by": report.by,
        "since": str(report.since),
        "until": str(report.until),
        "microusd": report.microusd,
        "requests": report.requests,
        "rows": [{"name": row.name, "microusd": row.microusd, "requests": row.requests} for row in report.rows],
        "budgets": [
            {
                "name": use.name,
                "period": use.period,
                "used_microusd": use.used_microusd,
                "limit_microusd": use.limit_microusd,
                "percent": round(use.percent, 1),
            }
            for use in report.budgets
        ],
        "alerts": [asdict(alert) for alert in report.alerts],
    }


def checked_of(found: Reconciled) -> dict[str, Any]:
    """What `spend --check --json` prints."""
    return {**asdict(found), "day": str(found.day), "agrees": found.agrees}


def check_view(checked: Mapping[str, Any]) -> str:
    """The reconciliation for people."""
    total, added = checked["total_microusd"], checked["sum_microusd"]
    verdict = "They agree."
    if not checked["agrees"]:
        verdict = f"They differ by {dollars(total - added)} and {checked['total_requests'] - checked['sum_requests']:,}"
        verdict += " requests: Redis has lost writes, or calls are under way; repeat it."
    open_ones = f"{dollars(checked['open_microusd'])} for {checked['open_requests']:,} reserved and not settled"
    lines = (
        f"{checked['day']} (UTC), {count(checked['records'], 'record')} read",
        f"totals   {dollars(total)} for {count(checked['total_requests'], 'paid request')}",
        f"records  {dollars(added)} for {count(checked['sum_requests'], 'paid request')}, of which {open_ones}",
        verdict,
    )
    return "\n".join(lines)


def as_csv(spent: Mapping[str, Any]) -> str:
    """The rows for a spreadsheet; its first column is named for what they tell apart."""
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow([spent["by"], "usd", "requests"])
    for row in spent["rows"]:
        lines.writerow([printable(row["name"]), _exact(row["microusd"]), row["requests"]])
    return text.getvalue()


def view(spent: Mapping[str, Any]) -> RenderableType:
    """The document for people."""
    span = spent["since"] if spent["since"] == spent["until"] else f"{spent['since']} to {spent['until']}"
    cost = f"{dollars(spent['microusd'])} for {count(spent['requests'], 'paid request')}, {span} (UTC)"
    parts: list[RenderableType] = [Text(cost)]
    if spent["rows"]:
        parts += [Text(), _rows(spent)]
    if spent["budgets"]:
        parts += [Text(), _budgets(spent)]
    if spent["alerts"]:
        parts += [Text(), *(Text(_said(alert)) for alert in spent["alerts"])]
    return Group(*parts)


def bar(percent: float) -> Text:
    """A bar of so many per cent."""
    full = min(BAR, max(0, round(BAR * percent / 100)))
    style = "red" if percent >= _FULL else "yellow" if percent >= _WARN else "green"
    return Text("#" * full, style=style) + Text("." * (BAR - full), style="dim")


def _rows(spent: Mapping[str, Any]) -> Table:
    table = _table(spent["by"].capitalize(), "Cost", "Requests", "Share", "")
    for row in spent["rows"]:
        share = 100 * row["microusd"] / spent["microusd"] if spent["microusd"] else 0.0
        name = words(row["name"]) if spent["by"] == "kind" else printable(row["name"])
        blocks = Text("#" * round(BAR * share / 100), style="cyan")
        table.add_row(
            name or "(none)", f"${row['microusd'] / MICRO:,.6f}", f"{row['requests']:,}", f"{share:.1f} %", blocks
        )
    return table


def _budgets(spent: Mapping[str, Any]) -> Table:
    table = _table("Budget", "Period", "Used", "Limit", "", "")
    for use in spent["budgets"]:
        table.add_row(
            printable(use["name"]),
            use["period"],
            dollars(use["used_microusd"]),
            dollars(use["limit_microusd"]),
            f"{use['percent']:.1f} %",
            bar(use["percent"]),
        )
    return table


def _said(alert: Mapping[str, Any]) -> str:
    """One alert in a line."""
    when = f"{datetime.fromtimestamp(alert['at'] / 1000, UTC):%Y-%m-%d %H:%M}"
    if alert["name"] == "paid_share":
        return f"{when}  {alert['percent']} % of an hour's calls were paid: {alert['used']:,} of {alert['limit']:,}"
    used = f"{dollars(alert['used'])} of {dollars(alert['limit'])}"
    return f"{when}  budget {printable(alert['budget'])} ({alert['period']}): {alert['percent']} % used, {used}"


def _table(*columns: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for column in columns:
        table.add_column(
            column, justify="right" if column in ("Cost", "Requests", "Share", "Used", "Limit") else "left"
        )
    return table


def _exact(microusd: int) -> str:
    whole, rest = divmod(microusd, MICRO)
    return f"{whole}.{rest:06d}"
