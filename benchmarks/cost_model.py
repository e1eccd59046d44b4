"""A simulated month: what the paid provider costs at several availabilities of the free one.

Each call is routed by the code that routes real ones (`routing.choose`, `moves.next_move`), on snapshots of a simulated
free provider that goes out and comes back, behind a breaker with the real one's rules; it is priced by the code that
prices real ones, with and without a budget of the day. Messages are as long as those of a recorded collection.
"""

from __future__ import annotations

import json
import random
from argparse import ArgumentParser
from collections import deque
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bot_client.testing.fake import PROVIDERS
from tasks.moderation import MAX_TOKENS, build
from understudy.contracts.call import CallOptions, Usage
from understudy.contracts.moderation import KIND, ModerationRequest
from understudy.money import MICRO, dollars
from understudy.moves import To, next_move
from understudy.pricing import Price, cost_microusd, max_cost_microusd, price_of
from understudy.routing import PROBE_MS, Policy, choose
from understudy.settings import Settings, load_settings
from understudy.settings_money import DEFAULT_DAY_USD
from understudy.state.health import CLOSED, HALF_OPEN, OPEN, Breaker, Queue, Snapshot
from understudy.state.record import RUNNING, Record
from understudy.tokens import estimate_tokens, upper_bound_tokens

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

RECORDED = Path(__file__).parent / "sms_tokens.tsv"
ANSWER_TOKENS = 100
"""Of a verdict in JSON, with its sentence."""

OUTAGE_S = {0.99: 600.0, 0.9: 3600.0}
"""How long an outage lasts on average: the rarer ones are the shorter ones."""

TRIP, CLOSE_AFTER = 3, 3
"""Of the breaker: hard failures in a row that open it, successes that close it again."""

DAY_MS = 86_400_000
BY_HOUR = (3, 2, 1, 1, 1, 2, 3, 5, 6, 6, 6, 7, 7, 7, 7, 7, 8, 9, 10, 11, 11, 10, 8, 5)
"""How a chat's messages spread over a day."""

FREE, PAID = PROVIDERS[0].name, PROVIDERS[-1].name
DEADLINE_MS = int(KIND.deadline_s * 1000)
POLICY = Policy(KIND.name, total_ms=DEADLINE_MS)


@dataclass
class Free:
    """The free provider: out and back by the dice, with its breaker."""

    up: bool
    until: float
    since: float = 0.0
    state: str = CLOSED
    hard: int = 0
    good: int = 0

    def look(self, now: float, outages: Iterator[float]) -> None:
        """Let time pass; a probe finds a provider that is back within `PROBE_MS`."""
        while now >= self.until:
            self.up, self.since = not self.up, self.until
            self.until += next(outages)
        if self.state == OPEN and self.up and now >= self.since + PROBE_MS:
            self.state, self.good = HALF_OPEN, 0

    def answer(self) -> bool:
        """One request: whether it was answered; the breaker hears of it."""
        if not self.up:
            self.hard += 1
            if self.state == HALF_OPEN or self.hard >= TRIP:
                self.state = OPEN
            return False
        self.hard, self.good = 0, self.good + 1
        if self.state == HALF_OPEN and self.good >= CLOSE_AFTER:
            self.state = CLOSED
        return True


@dataclass
class Month:
    """What came of the calls of a month.

    Args:
        days: what was charged on each day without a budget, in micro-dollars; held: with one.
        refused: calls that the budget had no room for; lost: those that nobody could take.
    """

    availability: float
    calls_a_day: int
    days: list[int]
    held: list[int]
    free: int = 0
    paid: int = 0
    refused: int = 0
    lost: int = 0


@cache
def first(state: str) -> str | None:
    """Where a new call goes while the free provider's breaker is in this state."""
    return choose(PROVIDERS, _snapshot(state), POLICY, deadline_ms=DEADLINE_MS).provider


@cache
def after_failure(state: str) -> str | None:
    """Where a call goes that failed at the free provider."""
    record = Record("c", RUNNING, KIND.name, "{}", CallOptions(), DEADLINE_MS, 0, FREE, FREE)
    move = next_move(record, PROVIDERS, _snapshot(state), failed_at=FREE)
    return move.provider if isinstance(move, To) else None


def _snapshot(state: str) -> Snapshot:
    is_open = state == OPEN
    breaker = Breaker(state, until=10_000 if is_open else 0, why="refused" if is_open else "", permits_free=1)
    return Snapshot(breakers={FREE: breaker}, queues={p.queue: Queue(concurrency=16) for p in PROVIDERS})


def simulate(
    availability: float, calls_a_day: int, *, price: Price, budget: int, days: int = 30, seed: int = 1
) -> Month:
    """One month.

    Args:
        availability: of the free provider, from 0 to 1.
        budget: of a day, in micro-dollars.
    """
    dice = random.Random(f"{seed} {availability} {calls_a_day}")
    outages = _outages(availability, dice)
    free = Free(up=availability > 0, until=next(outages))
    sizes, weights = _recorded()
    costs = {tokens: costs_of(price, tokens) for tokens in sizes}
    prompts = deque(dice.choices(sizes, weights, k=days * calls_a_day))
    month = Month(availability, calls_a_day, [0] * days, [0] * days)
    for day in range(days):
        for at in _moments(day, calls_a_day, dice):
            free.look(at, outages)
            _call(free, month, day, *costs[prompts.popleft()], budget)
    return month


def _call(free: Free, month: Month, day: int, cost: int, most: int, budget: int) -> None:
    goes_to = first(free.state)
    if goes_to == FREE:
        if free.answer():
            month.free += 1
            return
        goes_to = after_failure(free.state)
    if goes_to != PAID:
        month.lost += 1
        return
    month.paid += 1
    month.days[day] += cost
    if month.held[day] + most > budget:
        month.refused += 1
    else:
        month.held[day] += cost


def costs_of(price: Price, text_tokens: int) -> tuple[int, int]:
    """What a message of this length costs on the paid provider: likely, and as it is reserved."""
    estimate, bound = _frame()
    usage = Usage(prompt_tokens=estimate + text_tokens, completion_tokens=ANSWER_TOKENS)
    # The reservation counts bytes, of which the record holds none: about four a token.
    return cost_microusd(price, usage), max_cost_microusd(price, bound + 4 * text_tokens, MAX_TOKENS)


@cache
def _frame() -> tuple[int, int]:
    """Tokens of all that is sent with a message: a fair guess, and at most."""
    prompt = build(ModerationRequest(text="x"))
    sent = json.dumps([prompt.messages, prompt.response_format], ensure_ascii=False)
    return estimate_tokens(sent), upper_bound_tokens(sent)


@cache
def _recorded() -> tuple[list[int], list[int]]:
    rows = [line.split("\t") for line in RECORDED.read_text("utf-8").splitlines() if not line.startswith("#")]
    return [int(tokens) for tokens, _ in rows], [int(count) for _, count in rows]


def _outages(availability: float, dice: random.Random) -> Iterator[float]:
    """How long it is up, out, up, … in milliseconds."""
    out_s = OUTAGE_S.get(availability, 1800.0)
    while True:
        if availability in (0, 1):
            yield float("inf")
        yield dice.expovariate(1 / (1000 * out_s * availability / (1 - availability)))
        yield dice.expovariate(1 / (1000 * out_s))


def _moments(day: int, count: int, dice: random.Random) -> list[float]:
    hours = dice.choices(range(24), BY_HOUR, k=count)
    return sorted(day * DAY_MS + (hour + dice.random()) * 3_600_000 for hour in hours)


def table(months: Sequence[Month]) -> Iterator[str]:
    """The lines to print."""
    heads = ("available", "calls a day", "free", "paid", "cost", "dearest day", "in budget", "refused")
    yield "".join(f"{head:>13}" for head in heads)
    for month in months:
        cells = (
            f"{month.availability:.0%}",
            f"{month.calls_a_day:,}",
            f"{month.free:,}",
            f"{month.paid:,}",
            _cents(sum(month.days)),
            _cents(max(month.days)),
            _cents(sum(month.held)),
            f"{month.refused:,}",
        )
        yield "".join(f"{cell:>13}" for cell in cells)


def _cents(microusd: int) -> str:
    return f"${microusd / MICRO:,.2f}"


def main(args: Sequence[str] | None = None) -> None:
    """Simulate the months and print them."""
    parser = ArgumentParser(description="What a month costs, by the availability of the free provider.")
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--calls", type=int, nargs="+", default=[1_000, 10_000], help="a day")
    parser.add_argument("--availability", type=float, nargs="+", default=[0.99, 0.9, 0.0], help="from 0 to 1")
    parser.add_argument(
        "--model", default=Settings.model_fields["openai_model_name"].default, help="of the paid provider"
    )
    parser.add_argument("--budget", type=float, default=float(DEFAULT_DAY_USD), help="of a day, in US dollars")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args(args)
    settings = load_settings(env_file=None, openai_model_name=given.model)
    price = price_of(given.model, settings, settings.openai_base_url)
    if price is None:
        parser.error(f"{given.model} has no price in the package genai-prices")
    budget = int(given.budget * MICRO)
    likely, most = costs_of(price, _typical())
    click.echo(f"{given.days} days of moderation; the fallback is {given.model}, priced by {price.source}.")
    click.echo(
        f"{dollars(price.input)} and {dollars(price.output)} for a million tokens of prompt and answer: a message of"
    )
    click.echo(f"{_typical()} tokens costs about {dollars(likely)}, at most {dollars(most)}. The budget of a day is")
    click.echo(f"{dollars(budget)}, or about {budget // likely:,} paid calls.\n")
    pairs = [(availability, calls) for calls in given.calls for availability in given.availability]
    months = [
        simulate(availability, calls, price=price, budget=budget, days=given.days, seed=given.seed)
        for availability, calls in pairs
    ]
    click.echo("\n".join(table(months)))


def _typical() -> int:
    """Tokens of an average message of the record."""
    sizes, weights = _recorded()
    return round(sum(size * weight for size, weight in zip(sizes, weights, strict=True)) / sum(weights))


if __name__ == "__main__":
    main()
