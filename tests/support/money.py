"""Paid attempts of the ledger, played by hand, and what they were charged."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import tasks.agent_turn
import tasks.moderation
import tasks.thread_naming  # noqa: F401 - importing them registers their kinds
from tests.support.ledger import Drive
from understudy.pricing import Price, max_cost_microusd, priced
from understudy.providers import providers_from
from understudy.settings_money import Budgets
from understudy.state.money import Money
from workers.money import money_of

if TYPE_CHECKING:
    from redis.asyncio import Redis

    from understudy.settings import Settings
    from understudy.state.ledger import Reply
    from understudy.state.report import Report

PRICE = Price(input=1_000_000, output=2_000_000, cached_input=500_000)
"""A micro-dollar for a token of the prompt, two for one of the answer."""

MONEY = Money(PRICE, Budgets(), max_tokens=100, window=128_000, frame=87)
REQUEST = '{"text":"hi"}'
MOST = max_cost_microusd(PRICE, len(REQUEST) + 87, 100)
"""What a request of `Drive.open` can cost: 300 micro-dollars."""


def budget(**limits: Any) -> Money:
    """With budgets, in micro-dollars."""
    return replace(MONEY, budgets=Budgets(**limits))


async def opened(drive: Drive, call_id: str = "c1", **more: Any) -> Reply:
    """A client opens a call at the paid provider."""
    return await drive.open(call_id, **({"provider": "openai", "queue": "openai"} | more))


async def begun(drive: Drive, call_id: str = "c1", money: Money | None = MONEY, **more: Any) -> Reply:
    """A worker of the paid provider begins the call."""
    return await drive.begin(call_id, provider="openai", money=money, **more)


async def run_paid(drive: Drive, call_id: str = "c1", money: Money = MONEY, **more: Any) -> Reply:
    """A call that a worker of the paid provider has begun."""
    sent = (await opened(drive, call_id, **more)).number("sent")
    run = await begun(drive, call_id, money, sent=sent, queue=more.get("queue", "openai"))
    assert run.word == "run"
    return run


async def again(drive: Drive, run: Reply, report: Report | None = None, **more: Any) -> Reply:
    """The holder asks for one more request, of 50 bytes and 20 tokens: 90 micro-dollars."""
    given: dict[str, Any] = {
        "epoch": run.number("epoch"),
        "token": "t",
        "rid": run.text("rid"),
        "provider": "openai",
        "model": "m",
        "queue": "openai",
        "max_requests": 8,
        "money": replace(MONEY, bytes=50, max_tokens=20),
    } | more
    return await drive.ledger.again("c1", report=report, **given)


def report(drive: Drive, run: Reply, cost: int | None, **more: Any) -> Report:
    """What a request told, and cost."""
    return drive.report(run, provider="openai", cost_microusd=cost, **more)


async def reservation(redis: Redis, kind: str, request: str, settings: Settings) -> int:
    """What the ledger reserves for a call of this installation, begun at its paid provider."""
    provider = next(each for each in priced(providers_from(settings), settings) if each.paid)
    sent = (await opened(drive := Drive(redis, "aside:"), kind=kind, request=request)).number("sent")
    run = await begun(drive, money=money_of(kind, provider, settings), sent=sent)
    await redis.delete(*[key async for key in redis.scan_iter("aside:*")])
    return run.number("reserved")


async def totals(drive: Drive, span: str = "day", period: str = "") -> dict[str, int]:
    """What a day (today without a period), a month or a job was charged, by field."""
    if not period:
        (found,) = [key async for key in drive.redis.scan_iter(f"{drive.keys.prefix}spend:{span}:*")] or [""]
    else:
        found = f"{drive.keys.prefix}spend:{span}:{period}"
    raw: Any = await drive.redis.hgetall(found)
    return {name: int(value) for name, value in raw.items()}


async def charged(drive: Drive) -> int:
    """The total of today."""
    return (await totals(drive)).get("total", 0)
