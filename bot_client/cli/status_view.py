"""The state of all providers as one document, and the document as tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from understudy.state.health import HALF_OPEN, OPEN, Breaker, Snapshot
from understudy.words import count, printable, span, words

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from understudy.providers import Provider
    from understudy.state.stats import ProviderStats

_STYLES = {"closed": "green", "open": "red", "half_open": "yellow"}


def status_of(
    providers: Sequence[Provider],
    seen: Snapshot,
    absent: Sequence[str] = (),
    quarter: Mapping[str, ProviderStats] | None = None,
) -> dict[str, Any]:
    """What `status --json` prints; all times are milliseconds from now or until now."""
    forced = seen.forced
    queues = [(p, name) for p in providers for name in (p.queue, p.batch_queue)]
    return {
        "now": seen.now,
        "providers": [
            _provider(provider, seen) | _quarter((quarter or {}).get(provider.name)) for provider in providers
        ],
        "queues": [_queue(provider, name, seen) for provider, name in queues],
        "workers": [
            {"id": str(w["id"]), "queues": str(w["queues"]).split(","), "concurrency": int(w["concurrency"])}
            for w in seen.workers
        ],
        "preferred": {"provider": seen.preferred, "left_ms": seen.preferred_ms} if seen.preferred else None,
        "forced": {"provider": forced.provider, "who": forced.who, "why": forced.why, "left_ms": forced.left_ms}
        if forced
        else None,
        "absent": list(absent),
    }


def _provider(provider: Provider, seen: Snapshot) -> dict[str, Any]:
    breaker = seen.breaker(provider.name)
    return {
        "name": provider.name,
        "model": provider.model,
        "paid": provider.paid,
        "local": provider.local,
        "breaker": breaker.state,
        "why": breaker.why if breaker.state in (OPEN, HALF_OPEN) else "",
        "for_ms": seen.now - breaker.since if breaker.since else None,
        "next_try_ms": _next_try_ms(breaker, seen.now),
        "is_probed": breaker.state == OPEN and not provider.paid,
        "permits_free": breaker.permits_free if breaker.state == HALF_OPEN else None,
        "opens": breaker.opens,
        "typical_ms": {kind: breaker.typical_ms(kind) for kind in sorted(breaker.durations)},
    }


def _quarter(stats: ProviderStats | None) -> dict[str, Any]:
    """A provider's last 15 minutes; None where they were not read."""
    if stats is None:
        return {"quarter": None}
    names = ("answered", "failed", "share", "success", "p50_ms", "p95_ms", "first_token_p50_ms", "first_token_p95_ms")
    return {"quarter": {name: getattr(stats, name) for name in names}}


def _next_try_ms(breaker: Breaker, now: int) -> int | None:
    """How long live calls still pass it by; None where they do not."""
    return max(0, breaker.until - now) if breaker.state == OPEN else None


def _queue(provider: Provider, name: str, seen: Snapshot) -> dict[str, Any]:
    queue = seen.queue(name)
    return {
        "name": name,
        "provider": provider.name,
        "batch": name == provider.batch_queue,
        "waiting": queue.depth,
        "oldest_ms": queue.oldest_ms,
        "workers": sum(name in str(worker["queues"]).split(",") for worker in seen.workers),
        "concurrency": queue.concurrency,
        "paused_ms": queue.paused_ms,
        "paused_why": queue.paused_why,
    }


def view(status: Mapping[str, Any]) -> RenderableType:
    """The document for people."""
    parts: list[RenderableType] = [_providers(status["providers"]), Text(), _queues(status["queues"]), Text()]
    quarters = [(row["name"], row["quarter"]) for row in status["providers"] if row["quarter"]]
    if any(quarter["answered"] or quarter["failed"] for _, quarter in quarters):
        parts += [_quarters(quarters), Text()]
    parts += [Text(line, style=style) for line, style in _lines(status)]
    return Group(*parts)


def _providers(rows: Sequence[Mapping[str, Any]]) -> Table:
    table = _table("Provider", "Model", "Breaker", "Reason", "Since", "Next try")
    for row in rows:
        table.add_row(
            row["name"],
            printable(row["model"]),
            Text(words(row["breaker"]), style=_STYLES.get(row["breaker"], "")),
            words(row["why"]) if row["why"] else "-",
            f"{span(row['for_ms'])} ago" if row["for_ms"] is not None else "-",
            _next_try(row),
        )
    return table


def _next_try(row: Mapping[str, Any]) -> str:
    if row["permits_free"] is not None:
        return f"now, {count(row['permits_free'], 'call')} at a time" if row["permits_free"] > 0 else "being tried"
    if row["next_try_ms"] is None:
        return "-"
    return f"in {span(row['next_try_ms'])}" + (", or when a probe works" if row["is_probed"] else "")


def _queues(rows: Sequence[Mapping[str, Any]]) -> Table:
    table = _table("Queue", "Waiting", "Oldest", "Workers", "At once", "Paused")
    for row in rows:
        in_use = row["waiting"] or row["workers"] or row["paused_ms"]
        if row["batch"] and not in_use:
            continue  # an installation without batch jobs need not run workers for them
        paused = f"{span(row['paused_ms'])} ({words(row['paused_why'])})" if row["paused_ms"] else "-"
        table.add_row(
            row["name"],
            f"{row['waiting']:,}",
            span(row["oldest_ms"]) if row["waiting"] else "-",
            f"{row['workers']:,}" if row["workers"] else "none",
            f"{row['concurrency']:,}" if row["concurrency"] else "-",
            paused,
            style="bold red" if not row["workers"] else "",
        )
    return table


def _quarters(rows: Sequence[tuple[str, Mapping[str, Any]]]) -> Table:
    table = _table("Last 15 min", "Answered", "Failed", "Share", "Success", "Median", "95 %", "First token", "95 %")
    for name, quarter in rows:
        times = ("p50_ms", "p95_ms", "first_token_p50_ms", "first_token_p95_ms")
        table.add_row(
            name,
            f"{quarter['answered']:,}",
            f"{quarter['failed']:,}",
            *("-" if quarter[part] is None else f"{100 * quarter[part]:.0f} %" for part in ("share", "success")),
            *("-" if quarter[part] is None else span(quarter[part]) for part in times),
        )
    return table


def _lines(status: Mapping[str, Any]) -> list[tuple[str, str]]:
    lines = []
    forced, preferred = status["forced"], status["preferred"]
    if forced:
        who = f" by {forced['who']}" if forced["who"] else ""
        why = f": {forced['why']}" if forced["why"] else ""
        text = printable(f"Forced: {forced['provider']}{who} for another {span(forced['left_ms'])}{why}")
        lines.append((text, "yellow"))
    if preferred:
        left = span(preferred["left_ms"])
        lines.append((f"Preferred fallback: {preferred['provider']}, for at most another {left}", ""))
    lines += [(text, "dim") for text in status["absent"]]
    return lines


def _table(*headers: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for header in headers:
        table.add_column(header, overflow="fold")
    return table
