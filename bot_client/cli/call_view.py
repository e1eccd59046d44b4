"""What a call's time went into, as one document, and the document as bars."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from understudy.money import dollars
from understudy.state.record import RUNNING, STATES, Record
from understudy.waiting import why_it_waits
from understudy.waterfall import RUNNING_BAR, WAITS, attempts_of, bars_of
from understudy.words import count, printable, span, words

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from understudy.providers import Provider
    from understudy.state.health import Snapshot

WIDTH, NARROW = 40, 16
"""Characters for the whole time of a call, where there is room and where there is little."""

ROOMY = 110
"""Columns from which on there is room."""

_MARKS = {"wait": ".", "running": "=", "attempt": "#", "end": "|"}
_STYLES = {"wait": "dim", "running": "cyan", "answered": "green", "done": "green", "failed": "red"}


def call_of(record: Record, seen: Snapshot, providers: Sequence[Provider], rank: int | None) -> dict[str, Any]:
    """What `call --json` prints: nothing that a user wrote, no answer; bars count from the opening."""
    outcome = record.parsed_outcome() if record.has_ended else None
    reason = outcome.reason if outcome else None
    return {
        "call_id": record.id,
        "kind": record.kind,
        "state": STATES[record.state],
        "reason": reason,
        "reason_words": words(reason) if reason else None,
        "provider": (outcome.provider if outcome else record.provider) or None,
        "queue": record.queue,
        "worker": record.worker if record.state == RUNNING else None,
        "age_ms": seen.now - record.created,
        "deadline_left_ms": None if record.has_ended else record.deadline - seen.now,
        "ended_ms": seen.now - record.ended if record.has_ended else None,
        "total_ms": (record.ended if record.has_ended else seen.now) - record.created,
        "cost_microusd": _cost(record),
        "runs_before": record.runs,
        "waits": list(why_it_waits(record, seen, providers, rank)),
        "bars": [
            {
                "label": bar.label,
                "what": bar.what,
                "provider": bar.provider,
                "start_ms": bar.start_ms,
                "end_ms": bar.end_ms,
                "detail": bar.detail,
            }
            for bar in bars_of(record, seen.now)
        ],
    }


def _cost(record: Record) -> int:
    """What its requests were charged; also of attempts whose worker died."""
    told = sum(attempt.cost_microusd for attempt in attempts_of(record))
    return max(told, sum(record.charges.values()))


def call_view(told: Mapping[str, Any], columns: int = ROOMY) -> RenderableType:
    """The document for people, at a terminal of so many columns."""
    head = Text(printable(f"{words(told['kind'])} {told['call_id']}: "), style="bold")
    head.append(told["state"])
    ended = told["ended_ms"]
    when = [f"opened {span(told['age_ms'])} ago"]
    if ended is None:
        left = told["deadline_left_ms"]
        when.append(f"deadline in {span(left)}" if left > 0 else "its deadline has passed")
    else:
        when.append(f"ended {span(ended)} ago, after {span(told['total_ms'])}")
    if told["cost_microusd"]:
        when.append(f"charged {dollars(told['cost_microusd'])}")
    if told["runs_before"]:
        when.append(f"run again {count(told['runs_before'], 'time')}, this is the latest")
    sentences = [Text(printable(sentence)) for sentence in told["waits"]]
    return Group(
        head,
        *sentences,
        Text("; ".join(when), style="dim"),
        Text(),
        _waterfall(told, WIDTH if columns >= ROOMY else NARROW),
    )


def _waterfall(told: Mapping[str, Any], width: int) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for header in ("What", "From", "Took"):
        table.add_column(header, overflow="fold", justify="left" if header == "What" else "right")
    table.add_column("", no_wrap=True, width=width)
    table.add_column("How it went", overflow="fold")
    total = max([1, *(bar["end_ms"] for bar in told["bars"])])
    for bar in told["bars"]:
        took = bar["end_ms"] - bar["start_ms"]
        is_end = bar is told["bars"][-1] and told["ended_ms"] is not None
        table.add_row(
            printable(bar["label"]),
            span(bar["start_ms"]),
            "" if is_end else span(took),
            drawn(bar, total, width, is_end=is_end),
            printable(bar["detail"]),
        )
    return table


def drawn(bar: Mapping[str, Any], total_ms: int, width: int = WIDTH, *, is_end: bool = False) -> Text:
    """A bar in its place on the line of the whole time; the shortest one can be seen."""
    first = min(width - 1, bar["start_ms"] * width // total_ms)
    last = min(width, max(first + 1, -(-bar["end_ms"] * width // total_ms)))
    what = bar["what"]
    kind = "end" if is_end else "wait" if what in WAITS else "running" if what == RUNNING_BAR else "attempt"
    style = _STYLES.get(what) or _STYLES.get(kind) or ("yellow" if kind == "attempt" else "")
    return Text(" " * first) + Text(_MARKS[kind] * (last - first), style=style)
