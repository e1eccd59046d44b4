"""What the page is told, as plain data made from what was read: pure functions, and nothing that a user wrote."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from understudy.state.health import CLOSED, OPEN, SUFFIXES, Snapshot
from understudy.state.operations import drain_ms
from understudy.words import words

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from understudy.providers import Provider
    from understudy.state.audit import AuditEntry
    from understudy.state.ended import Cause, EndedCall
    from understudy.state.fallbacks import Fallback
    from understudy.state.job import Job
    from understudy.state.spend import BudgetUse
    from understudy.state.stats import ProviderStats
    from workers.flower_page.visitor import Visitor


@dataclass(frozen=True)
class Spent:
    """What was charged, in micro-dollars, today and in this month of UTC, and how far each budget is used up."""

    day: int
    month: int
    budgets: Sequence[BudgetUse] = ()


@dataclass(frozen=True)
class Seen:
    """All that was read for the page."""

    snapshot: Snapshot
    stats: Mapping[str, ProviderStats]
    spent: Spent
    fallbacks: Sequence[Fallback] = ()
    causes: Sequence[Cause] = ()
    jobs: Sequence[Job] = ()
    audit: Sequence[AuditEntry] = ()


def overview(seen: Seen, providers: Sequence[Provider], visitor: Visitor) -> dict[str, Any]:
    """What the page shows at first."""
    return {
        "now": seen.snapshot.now,
        "who": visitor.who,
        "may_act": visitor.may_act,
        "why_not": visitor.why_not,
        "providers": [_provider(provider, seen) for provider in providers],
        "money": {
            "day_microusd": seen.spent.day,
            "month_microusd": seen.spent.month,
            "budgets": [_budget(use) for use in seen.spent.budgets],
        },
        "fallbacks": [_fallback(each) for each in seen.fallbacks],
        "causes": [asdict(cause) | {"words": words(cause.reason)} for cause in seen.causes],
        "jobs": [_job(job) for job in seen.jobs],
        "audit": [asdict(entry) for entry in seen.audit],
    }


def cause(reason: str, calls: Sequence[EndedCall], total: int) -> dict[str, Any]:
    """The calls that ended for a reason.

    Args:
        calls: the latest of them.
        total: how many there are.
    """
    shown = ("id", "kind", "ended_ms", "provider", "attempts", "cost_microusd")
    rows = [{name: getattr(call, name) for name in shown} for call in calls]
    return {"reason": reason, "words": words(reason), "calls": rows, "total": total}


def _provider(provider: Provider, seen: Seen) -> dict[str, Any]:
    snapshot = seen.snapshot
    breaker, forced = snapshot.breaker(provider.name), snapshot.forced
    stats = seen.stats[provider.name]
    is_closed = breaker.state == CLOSED
    is_forced = forced is not None and forced.provider == provider.name
    return {
        "name": provider.name,
        "model": provider.model,
        "paid": provider.paid,
        "local": provider.local,
        "breaker": breaker.state,
        "since_ms": breaker.since or None,
        "why": "" if is_closed else words(breaker.why),
        "next_try_ms": breaker.until if breaker.state == OPEN else None,
        "preferred": snapshot.preferred == provider.name,
        "forced": {"who": forced.who, "why": forced.why, "left_ms": forced.left_ms} if forced and is_forced else None,
        **{name: value for name, value in asdict(stats).items() if name != "name"},
        "queues": [_queue(provider.name + suffix, snapshot, stats) for suffix in SUFFIXES],
    }


def _queue(name: str, snapshot: Snapshot, stats: ProviderStats) -> dict[str, Any]:
    queue = snapshot.queue(name)
    return {
        "name": name,
        "depth": queue.depth,
        "oldest_ms": queue.oldest_ms,
        "concurrency": queue.concurrency,
        "workers": sum(name in str(row.get("queues", "")).split(",") for row in snapshot.workers),
        "paused_ms": queue.paused_ms,
        "paused_why": words(queue.paused_why),
        "drain_ms": drain_ms(queue.depth, queue.concurrency, stats.p50_ms),
    }


def _budget(use: BudgetUse) -> dict[str, Any]:
    return {"name": use.name, "used_microusd": use.used_microusd, "limit_microusd": use.limit_microusd}


def _fallback(each: Fallback) -> dict[str, Any]:
    return {
        "at_ms": each.at_ms,
        "call": each.call_id,
        "kind": each.kind,
        "from": each.source,
        "to": each.target,
        "why": words(each.why),
    }


def _job(job: Job) -> dict[str, Any]:
    return {
        "id": job.id,
        "name": job.name,
        "owner": job.owner,
        "state": job.state,
        "done": int(job.progress.get("done") or 0),
        "total": job.progress.get("total"),
        "window": job.window,
        "spend_microusd": job.charged_microusd,
    }
