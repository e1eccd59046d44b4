"""Calls as documents, and documents as tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from understudy.money import dollars
from understudy.state.record import RUNNING, STATES
from understudy.words import count, printable, span, words

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from understudy.state.ended import Cause, EndedCall
    from understudy.state.open_calls import OpenCall


def causes_of(causes: Sequence[Cause], opened: int, now: int) -> dict[str, Any]:
    """What `calls --json` prints: times are milliseconds ago."""
    rows = sorted(causes, key=lambda cause: (-cause.calls, cause.reason))
    return {
        "open": opened,
        "causes": [
            {
                "reason": cause.reason,
                "words": words(cause.reason),
                "calls": cause.calls,
                "latest_ms": max(0, now - cause.latest_ms),
            }
            for cause in rows
        ],
    }


def ended_of(calls: Sequence[EndedCall], now: int) -> dict[str, Any]:
    """What `calls --failed --json` prints."""
    return {
        "calls": [
            {
                "call_id": call.id,
                "kind": call.kind,
                "reason": call.reason,
                "ended_ms": max(0, now - call.ended_ms),
                "provider": call.provider,
                "attempts": call.attempts,
                "cost_microusd": call.cost_microusd,
            }
            for call in calls
        ]
    }


def open_of(calls: Sequence[OpenCall], now: int) -> dict[str, Any]:
    """What `calls --running --json` and `--waiting --json` print."""
    return {
        "calls": [
            {
                "call_id": call.id,
                "kind": call.kind,
                "state": STATES[call.state],
                "provider": call.provider,
                "queue": call.queue,
                "age_ms": max(0, now - call.created_ms),
                "running_ms": max(0, now - call.begun_ms) if call.state == RUNNING else None,
                "deadline_left_ms": call.deadline_ms - now,
                "worker": call.worker if call.state == RUNNING else None,
                "requests": call.requests,
            }
            for call in calls
        ]
    }


def causes_view(told: Mapping[str, Any]) -> RenderableType:
    """The causes for people."""
    opened = f"{count(told['open'], 'call')} open." if told["open"] else "No call is open."
    if not told["causes"]:
        return Group(Text("No call has failed within a day."), Text(opened))
    table = _table("Cause", "Meaning", "Calls", "Latest", right=("Calls",))
    for row in told["causes"]:
        latest = f"{span(row['latest_ms'])} ago"
        table.add_row(printable(row["reason"]), row["words"], f"{row['calls']:,}", latest)
    hint = "understudy calls --cause CAUSE shows them, understudy retry --cause CAUSE runs them again."
    return Group(table, Text(), Text(opened), Text(hint, style="dim"))


def ended_view(told: Mapping[str, Any]) -> RenderableType:
    """The calls that ended without an answer, for people."""
    if not told["calls"]:
        return Text("There is none of a day.")
    table = _table("Call", "Kind", "Why", "Ended", "Provider", "Attempts", "Cost", right=("Attempts", "Cost"))
    for row in told["calls"]:
        table.add_row(
            printable(row["call_id"]),
            words(row["kind"]),
            words(row["reason"]),
            f"{span(row['ended_ms'])} ago",
            printable(row["provider"]) or "-",
            f"{row['attempts']:,}",
            dollars(row["cost_microusd"]) if row["cost_microusd"] else "-",
        )
    return table


def open_view(told: Mapping[str, Any]) -> RenderableType:
    """The open calls for people."""
    if not told["calls"]:
        return Text("There is none.")
    table = _table("Call", "Kind", "State", "Where", "Opened", "Running for", "Deadline", "Worker")
    for row in told["calls"]:
        left = row["deadline_left_ms"]
        running = row["running_ms"]
        table.add_row(
            printable(row["call_id"]),
            words(row["kind"]),
            row["state"],
            "-" if row["state"] == "parked" else printable(row["queue"]),
            f"{span(row['age_ms'])} ago",
            "-" if running is None else span(running),
            f"in {span(left)}" if left > 0 else "has passed",
            printable(row["worker"] or "-"),
        )
    return table


def _table(*headers: str, right: Sequence[str] = ()) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for header in headers:
        table.add_column(header, overflow="fold", justify="right" if header in right else "left")
    return table
