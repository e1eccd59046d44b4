"""What a job will cost and take, told before it begins, from the first rows of its input."""

from __future__ import annotations

import gzip
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bot_client.batch.lines import CHUNK, STDIN, Lines
from bot_client.batch.reading import Rejected, read_rows
from bot_client.batch.window import Memory, sight
from understudy.estimate import Estimate, estimate_of
from understudy.pricing import price_of
from understudy.routing import UNKNOWN_MS, Policy, timed_as

if TYPE_CHECKING:
    from bot_client.batch.desk import Desk
    from bot_client.batch.plan import Plan
    from bot_client.batch.reading import Shape
    from understudy.settings import Settings
    from understudy.state.health import Snapshot

SAMPLE = 500


@dataclass(frozen=True)
class Foresight:
    """What is known before the first call.

    Args:
        rows: of the input, by its lines; None for standard input.
        seconds: that its rows will take as things are now; None where nobody can tell.
        why: nothing can begin now; empty where it can.
        likely, most: micro-dollars if the paid provider answered every row; None where none is paid, or has no price.
        paid: its name.
    """

    rows: int | None
    seconds: float | None
    why: str
    likely: int | None
    most: int | None
    paid: str | None


async def foreseen(path: str, shape: Shape, plan: Plan, settings: Settings, desk: Desk) -> Foresight:
    """Look ahead.

    Raises:
        InvalidRequest: the input cannot be read, or lacks a column.
        redis.exceptions.RedisError: Redis cannot be reached.
    """
    rows = None if path == STDIN else _line_count(Path(path)) - (shape.format != "jsonl" and not shape.header)
    if rows is not None and shape.limit is not None:
        rows = min(rows, shape.limit)
    each = await _cost_of_one(path, shape, settings, desk) if path != STDIN else None
    policy = Policy("moderation", spend=plan.spend, local_only=plan.local_only, batch=True)
    seen = await desk.health.snapshot()
    look, _ = sight(desk.providers, policy, seen, Memory())
    at_once = max(1, min(look.room, plan.window or look.room))
    rate = at_once * 1000 / _answer_ms(desk, policy, seen)
    rate = min(rate, plan.rate or rate)
    paid = next((p.name for p in desk.providers if p.paid and policy.allows(p)), None)
    known = each is not None and rows is not None
    return Foresight(
        rows=rows,
        seconds=rows / rate if rows is not None and look.room else None,
        why="" if look.room else look.why,
        likely=round(each.likely / each.calls * rows) if known and each and rows else None,
        most=round(each.most / each.calls * rows) if known and each and rows else None,
        paid=paid,
    )


async def _cost_of_one(path: str, shape: Shape, settings: Settings, desk: Desk) -> Estimate | None:
    """The cost of the first rows, if they were paid for; None where nothing is known of it."""
    provider = next((p for p in desk.providers if p.paid), None)
    price = price_of(provider.model, settings, provider.base_url) if provider else None
    if price is None:
        return None
    limit, total = settings.llm_max_tokens or settings.understudy_paid_max_tokens, Estimate()
    with closing(Lines(path)) as lines:
        await lines.start(1)
        async for row in read_rows(lines, shape):
            if not isinstance(row, Rejected) and row.request is not None:
                total = total.plus(estimate_of("moderation", row.request, price, paid_max_tokens=limit))
            if total.calls >= SAMPLE:
                break
    return total if total.calls else None


def _answer_ms(desk: Desk, policy: Policy, seen: Snapshot) -> float:
    """What the first allowed provider takes, as far as it is known."""
    for provider in desk.providers:
        if policy.allows(provider):
            breaker = seen.breaker(provider.name)
            known = breaker.typical_ms(timed_as(policy.kind, batch=True)) or breaker.typical_ms(policy.kind)
            return max(1.0, known or UNKNOWN_MS)
    return UNKNOWN_MS


def _line_count(path: Path) -> int:
    """Lines of a file, packed or not."""
    count, last = 0, b"\n"
    with path.open("rb") as raw:
        packed = raw.read(2) == b"\x1f\x8b"
        raw.seek(0)
        stream = gzip.GzipFile(fileobj=raw) if packed else raw
        while chunk := stream.read(CHUNK):
            count, last = count + chunk.count(b"\n"), chunk[-1:]
    return count + (last != b"\n")
