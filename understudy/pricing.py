"""What models cost: prices from the settings or from the package genai-prices, and what a request costs by them."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, replace
from decimal import ROUND_CEILING, Decimal
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from understudy.contracts.call import Usage
    from understudy.providers import Provider
    from understudy.settings import Settings

PER = 1_000_000
"""Prices are for so many tokens."""

PACKAGE = "genai-prices"


@dataclass(frozen=True)
class Price:
    """What a model costs, in whole micro-dollars for a million tokens; None where there is no rate of its own.

    Args:
        input, output: of a token of the prompt, of the answer.
        cached_input: of a prompt token that the provider had in its cache; cache_write: of one that it put there.
        reasoning: of a token of the answer that was thought and not said.
        request: micro-dollars for a million requests, on top.
        tiers: other prices for all tokens of a request whose prompt is longer than so many tokens, shortest first.
        date: when they were read.
        source: where they were read.
    """

    input: int
    output: int
    cached_input: int | None = None
    cache_write: int | None = None
    reasoning: int | None = None
    request: int = 0
    tiers: tuple[tuple[int, Price], ...] = ()
    date: str = ""
    source: str = ""

    def at(self, prompt_tokens: int) -> Price:
        """The price of a request with a prompt of this length."""
        return next((tier for start, tier in reversed(self.tiers) if prompt_tokens > start), self)

    def worst(self, prompt_tokens: int) -> tuple[int, int]:
        """The highest rates of prompt and answer for any prompt up to this length: what a reservation counts with."""
        prices = [self, *(tier for start, tier in self.tiers if prompt_tokens > start)]
        return (
            max(max(p.input, p.cached_input or 0, p.cache_write or 0) for p in prices),
            max(max(p.output, p.reasoning or 0) for p in prices),
        )


def cost_microusd(price: Price, usage: Usage) -> int:
    """What a request cost by its usage, rounded up; tokens that were not reported count as none."""
    prompt, answer = usage.prompt_tokens or 0, usage.completion_tokens or 0
    cached = min(usage.cached_tokens or 0, prompt)
    written = min(usage.cache_write_tokens or 0, prompt - cached)
    thought = min(usage.reasoning_tokens or 0, answer)
    rates = price.at(prompt)
    parts = (
        ((prompt - cached - written), rates.input),
        (cached, _or(rates.cached_input, rates.input)),
        (written, _or(rates.cache_write, rates.input)),
        (answer - thought, rates.output),
        (thought, _or(rates.reasoning, rates.output)),
        (1, price.request),
    )
    return -(-sum(tokens * rate for tokens, rate in parts) // PER)


def max_cost_microusd(price: Price, prompt_tokens: int, max_tokens: int) -> int:
    """The most that a request can cost: what is reserved for it.

    Args:
        prompt_tokens: at most; see `understudy.tokens.upper_bound_tokens`.
        max_tokens: the token limit of the answer.
    """
    input_rate, output_rate = price.worst(prompt_tokens)
    return -(-(prompt_tokens * input_rate + max_tokens * output_rate + price.request) // PER)


def price_of(model: str, settings: Settings, base_url: str | None = None) -> Price | None:
    """The price of a model: the settings' own, else the package's; None where neither has one.

    Args:
        base_url: of the endpoint, for models that several sell; one that the package does not know is taken to charge
            what the model's maker does.
    """
    own = (settings.understudy_prices or {}).get(model)
    return own or _packaged(model, base_url)


def priced(providers: Iterable[Provider], settings: Settings) -> tuple[Provider, ...]:
    """The providers with their prices; a paid one without a price is left out, for nobody knows what it would cost."""
    found = [
        replace(provider, price=price_of(provider.model, settings, provider.base_url)) if provider.paid else provider
        for provider in providers
    ]
    return tuple(provider for provider in found if not provider.paid or provider.price)


def unpriced(providers: Iterable[Provider], settings: Settings) -> list[str]:
    """One sentence for each paid provider without a price, and which setting mends that.

    Silent where the package of prices is not installed, as in a bot: its workers know.
    """
    if find_spec("genai_prices") is None:
        return []
    return [
        f"The paid provider {provider.name} is absent: its model {provider.model} has no price; add it to"
        f' UNDERSTUDY_PRICES, as in {{"{provider.model}": {{"input": 0.15, "output": 0.6, "date": "2026-11-01"}}}}'
        " (US dollars for a million tokens)."
        for provider in providers
        if provider.paid and price_of(provider.model, settings, provider.base_url) is None
    ]


def _or(rate: int | None, other: int) -> int:
    return other if rate is None else rate


@cache
def _packaged(model: str, base_url: str | None) -> Price | None:
    """The package's price for a model today; it is imported here because that takes a third of a second."""
    try:
        from genai_prices.data_snapshot import get_snapshot  # noqa: PLC0415

        source = f"{PACKAGE} {version(PACKAGE)}"
    except (ImportError, PackageNotFoundError):
        return None
    snapshot = get_snapshot()
    for url in (base_url, None):
        try:
            _, found = snapshot.find_provider_model(model, None, None, url)
        except LookupError:
            continue
        price = _price(found.get_prices(dt.datetime.now(dt.UTC)), source)
        if price is not None:
            return price
    return None


def _price(prices: Any, source: str) -> Price | None:
    """A price in our terms; None where the model is not sold by tokens of text."""
    fields = {
        "input": prices.input_mtok,
        "output": prices.output_mtok,
        "cached_input": prices.cache_read_mtok,
        "cache_write": prices.cache_write_mtok,
        "reasoning": getattr(prices, "output_reasoning_mtok", None),
    }
    if fields["input"] is None or fields["output"] is None:
        return None
    per_request = _rate(getattr(prices, "requests_kcount", None)) or 0
    starts = sorted({tier.start for rate in fields.values() for tier in getattr(rate, "tiers", ())})

    def at(prompt_tokens: int) -> Price:
        rates = {name: _rate(rate, prompt_tokens) for name, rate in fields.items()}
        return Price(**rates, request=per_request * 1000, source=source)  # type: ignore[arg-type]

    return replace(at(0), tiers=tuple((start, at(start + 1)) for start in starts))


def _rate(rate: Any, prompt_tokens: int = 0) -> int | None:
    """A rate in whole micro-dollars, rounded up, for a prompt of this length."""
    if rate is None:
        return None
    if hasattr(rate, "base"):
        tiers = [tier.price for tier in rate.tiers if prompt_tokens > tier.start]
        rate = tiers[-1] if tiers else rate.base
    return int((Decimal(rate) * 1_000_000).to_integral_value(ROUND_CEILING))
