"""A call's situation as one document, and the document in words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from understudy.state.record import RUNNING, STATES, Record
from understudy.waiting import Standing, reason_of, standings_of
from understudy.words import count, printable, span, standing, words

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from understudy.contracts.call import Attempt
    from understudy.providers import Provider
    from understudy.state.health import Snapshot


@dataclass(frozen=True)
class Place:
    """Where a call stands in Redis's sorted sets.

    Args:
        rank: among those that wait in its queue, from 0; None where it waits in none.
        since: when it began to wait there, Redis milliseconds.
        due: when a reconciler looks at it, Redis milliseconds.
    """

    rank: int | None = None
    since: int | None = None
    due: int | None = None


def why_of(record: Record, providers: Sequence[Provider], seen: Snapshot, place: Place) -> dict[str, Any]:
    """What `why --json` prints: nothing that a user wrote, no answer; times are milliseconds from or until now."""
    now, ended = seen.now, record.has_ended
    is_running = record.state == RUNNING
    others = [_provider(each) for each in standings_of(record, providers, seen)]
    return {
        "call_id": record.id,
        "kind": record.kind,
        "state": STATES[record.state],
        "why": reason_of(record, seen, place.rank, {row["name"]: row["standing"] for row in others}),
        "provider": record.provider,
        "queue": record.queue,
        "position": None if place.rank is None else place.rank + 1,
        "waiting_ms": None if place.since is None else now - place.since,
        "worker": record.worker if is_running else None,
        "running_ms": now - record.begun if is_running else None,
        "lease_left_ms": record.lease - now if is_running else None,
        "next_look_ms": None if place.due is None else max(0, place.due - now),
        "age_ms": now - record.created,
        "deadline_left_ms": None if ended else record.deadline - now,
        "spend": record.options.spend,
        "local_only": record.options.local_only,
        "only": record.options.only,
        "requests": record.requests,
        "rounds": record.rounds,
        "crashes": record.crashes,
        "attempts": [attempt.model_dump(mode="json") for attempt in _attempts(record)],
        "providers": others,
        "outcome": _outcome(record) if ended else None,
    }


def _attempts(record: Record) -> Sequence[Attempt]:
    """Those of the outcome, where a worker wrote one: it lists the last attempt too."""
    return record.parsed_outcome().attempts or record.attempts if record.has_ended else record.attempts


def _provider(each: Standing) -> dict[str, Any]:
    return {"name": each.name, "here": each.here, "standing": each.word, "again_ms": each.again_ms}


def _outcome(record: Record) -> dict[str, Any]:
    outcome = record.parsed_outcome()
    return {
        "status": outcome.status.value,
        "reason": outcome.reason,
        "provider": outcome.provider,
        "model": outcome.model,
        "degraded": outcome.degraded,
        "queued_ms": outcome.queued_ms,
        "total_ms": outcome.total_ms,
        "cost_microusd": outcome.cost_microusd,
    }


def view(told: Mapping[str, Any]) -> RenderableType:
    """The document for people."""
    facts = Table.grid(padding=(0, 2))
    for name, value in _facts(told):
        facts.add_row(Text(name, style="dim"), printable(value))
    head = Text(printable(f"{words(told['kind'])} {told['call_id']}: "), style="bold")
    head.append(told["state"])
    parts: list[RenderableType] = [head, Text(printable(told["why"])), Text(), facts]
    if told["attempts"]:
        parts += [Text(), _attempt_table(told["attempts"])]
    if told["providers"]:
        parts += [Text(), _provider_table(told["providers"])]
    return Group(*parts)


def _facts(told: Mapping[str, Any]) -> list[tuple[str, str]]:
    rows: list[tuple[str, str | None]] = [
        ("opened", f"{span(told['age_ms'])} ago"),
        ("deadline", _deadline(told["deadline_left_ms"])),
        ("queue", _queue(told)),
        ("worker", told["worker"]),
        ("running for", _span(told["running_ms"])),
        ("next look", None if told["next_look_ms"] is None else f"in {span(told['next_look_ms'])}"),
        ("may cost money", told["spend"]),
        ("local only", "yes" if told["local_only"] else None),
        ("only by", told["only"]),
        ("requests", f"{told['requests']} sent to providers" if told["requests"] else None),
        ("rounds", f"all providers were tried {count(told['rounds'], 'time')}" if told["rounds"] else None),
        ("lost workers", str(told["crashes"]) if told["crashes"] else None),
    ]
    if outcome := told["outcome"]:
        rows += [
            ("answered by", f"{outcome['provider']} ({outcome['model']})" if outcome["provider"] else None),
            ("took", f"{span(outcome['total_ms'])}, of which {span(outcome['queued_ms'])} before the first attempt"),
            ("cost", f"{outcome['cost_microusd'] / 1e6:.6f} USD" if outcome["cost_microusd"] else None),
        ]
    return [(name, value) for name, value in rows if value]


def _span(ms: int | None) -> str | None:
    return None if ms is None else span(ms)


def _deadline(left_ms: int | None) -> str | None:
    if left_ms is None:
        return None
    return f"in {span(left_ms)}" if left_ms > 0 else f"{span(-left_ms)} ago; the call ends at the next look"


def _queue(told: Mapping[str, Any]) -> str | None:
    if told["position"] is None:
        return None
    return f"{told['queue']}, number {told['position']:,} of those that wait, for {span(told['waiting_ms'])}"


def _attempt_table(rows: Sequence[Mapping[str, Any]]) -> Table:
    table = _table("Attempt", "Provider", "Model", "What happened", "Requests", "Took")
    for number, row in enumerate(rows, 1):
        what = words(row["what"]) + (f" ({printable(row['detail'])})" if row["detail"] else "")
        table.add_row(
            str(number),
            printable(row["provider"]),
            printable(row["model"]),
            what,
            str(row["requests"]),
            span(row["ms"]),
        )
    return table


def _provider_table(rows: Sequence[Mapping[str, Any]]) -> Table:
    table = _table("Provider", "For this call", "Asked again")
    for row in rows:
        again = f"in {span(row['again_ms'])} at the earliest" if row["again_ms"] else "-"
        table.add_row(row["name"], _standing(row), again)
    return table


def _standing(row: Mapping[str, Any]) -> str:
    if not row["here"]:
        return standing(row["standing"])
    return "here" if row["standing"] == "free" else f"here; {standing(row['standing'])}"


def _table(*headers: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for header in headers:
        table.add_column(header, overflow="fold")
    return table
