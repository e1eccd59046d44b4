"""`spend --estimate`: what the messages of a file would cost if the paid provider answered them all."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.text import Text

from bot_client.batch.lines import Lines
from bot_client.batch.reading import LINE, Rejected, Shape, format_of, read_rows
from understudy.contracts import KINDS
from understudy.contracts.moderation import DEFAULT_RULES
from understudy.errors import InvalidRequest
from understudy.estimate import Estimate, estimate_of
from understudy.money import dollars
from understudy.pricing import price_of
from understudy.providers import providers_from
from understudy.settings import BUILT_IN
from understudy.settings_money import Budgets
from understudy.words import count, words

if TYPE_CHECKING:
    from collections.abc import Mapping

    from understudy.contracts.moderation import ModerationRequest
    from understudy.pricing import Price
    from understudy.providers import Provider
    from understudy.settings import Settings


async def estimated(path: str, kind: str, settings: Settings) -> dict[str, Any]:
    """What `spend --estimate FILE --json` prints; money is in micro-dollars.

    Raises:
        InvalidRequest: the file cannot be read, no provider is paid, or the paid one has no price.
    """
    provider, price = _paid(settings)
    total, left_out, free = Estimate(), 0, 0
    screens = settings.moderation_fallback == "endpoint" and provider.name == BUILT_IN[1] and kind == "moderation"
    with closing(Lines(path)) as lines:
        await lines.start(1)
        async for row in read_rows(lines, Shape(format_of(path), columns={"id": LINE})):
            if isinstance(row, Rejected) or row.request is None:
                left_out += 1
                continue
            if screens and getattr(row.request, "rules", "") == DEFAULT_RULES:
                free += 1
                continue
            request = row.request if kind == "moderation" else KINDS[kind].parse(_asked(kind, row.request))
            limit = settings.llm_max_tokens or settings.understudy_paid_max_tokens
            total = total.plus(estimate_of(kind, request, price, paid_max_tokens=limit))
    return {
        "kind": kind,
        "provider": provider.name,
        "model": provider.model,
        "price": {"input_microusd": price.input, "output_microusd": price.output, "source": price.source},
        "calls": total.calls,
        "free": free,
        "left_out": left_out,
        "likely_microusd": total.likely,
        "most_microusd": total.most,
        "repeated_microusd": total.repeated,
        "day_budget_microusd": Budgets.of(settings).day,
    }


def view(told: Mapping[str, Any]) -> RenderableType:
    """The document for people."""
    price = told["price"]
    rates = f"{dollars(price['input_microusd'])} and {dollars(price['output_microusd'])} for a million tokens"
    calls = f"{count(told['calls'], 'call')} of {words(told['kind'])}"
    lines = [
        f"{calls}, if {told['provider']} ({told['model']}, {rates}, by {price['source']}) answered all:",
        f"  likely   {dollars(told['likely_microusd'])}",
        f"  at most  {dollars(told['most_microusd'])}, so much is reserved: each answer takes its whole token limit",
        f"           {dollars(told['repeated_microusd'])}, where each is unusable, too, and asked for again",
    ]
    if told["free"]:
        lines.append(f"{count(told['free'], 'more call')} would cost nothing: the moderation endpoint answers them.")
    if told["left_out"]:
        lines.append(f"{count(told['left_out'], 'row')} left out: they break the contract.")
    budget = told["day_budget_microusd"]
    if budget is not None and told["likely_microusd"] > budget:
        lines.append(f"The budget of a day is {dollars(budget)}: this takes more than one day of it.")
    return Group(*map(Text, lines))


def _paid(settings: Settings) -> tuple[Provider, Price]:
    provider = next((provider for provider in providers_from(settings) if provider.paid), None)
    if provider is None:
        raise InvalidRequest("spend: no provider of the settings is paid, so nothing would cost anything.")
    price = price_of(provider.model, settings, provider.base_url)
    if price is None:
        raise InvalidRequest(
            f"spend: {provider.model} has no price here: install the extra `ops`, or set UNDERSTUDY_PRICES."
        )
    return provider, price


def _asked(kind: str, message: Any) -> dict[str, Any]:
    """A message as a request of another kind than moderation."""
    given: ModerationRequest = message
    if kind == "thread_naming":
        return {"first_message": given.text}
    return {"messages": [{"role": "user", "content": given.text}]}
