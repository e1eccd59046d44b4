"""What requests to a paid provider can cost at most, and what they did cost."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from understudy.contracts.moderation import KIND as MODERATION
from understudy.pricing import cost_microusd
from understudy.settings_money import Budgets
from understudy.state.money import Money
from understudy.tokens import upper_bound_tokens
from workers.kind_work import work_for
from workers.screening import PROVIDER as SCREENED_AT
from workers.screening import ScreenPrompt
from workers.tools import known_names, tool_named

if TYPE_CHECKING:
    from understudy.contracts.call import Usage
    from understudy.pricing import Price
    from understudy.providers import Provider
    from understudy.settings import Settings
    from workers.kind_work import KindWork, Prompt

UNKNOWN_FRAME = 16_000
"""Bytes of the prompt of a kind that has no sample."""


class Bill:
    """What the requests of one attempt cost; nothing at a free provider.

    Args:
        price: of the provider.
        reserved: for the first request.
    """

    def __init__(self, price: Price | None = None, reserved: int = 0) -> None:
        self._price = price
        self._before = 0
        self._reserved = reserved
        self._cost: int | None = 0

    @property
    def settled(self) -> int | None:
        """What the latest request cost: nothing until it is sent; None while nobody knows, or where nothing is paid."""
        return None if self._price is None else self._cost

    @property
    def total(self) -> int:
        """Of all requests; one whose cost nobody knows counts as what was reserved for it."""
        return self._before + (self._reserved if self._cost is None else self._cost)

    def sent(self) -> None:
        """The request goes out: from now on it may have been charged."""
        self._cost = None

    def answered(self, usage: Usage) -> None:
        """An answer came, with what it took, where the provider told."""
        if self._price is None:
            self._cost = 0
        elif usage.complete:
            self._cost = cost_microusd(self._price, usage)

    def not_charged(self) -> None:
        """The request certainly costs nothing."""
        self._cost = 0

    def next(self, reserved: int) -> None:
        """One more request was granted."""
        self._before, self._reserved, self._cost = self.total, reserved, 0


def token_limit(prompt: Prompt, provider: Provider, settings: Settings) -> int | None:
    """The token limit that is sent with a prompt; a paid answer always has one, or its cost would have no bound."""
    paid = settings.understudy_paid_max_tokens if provider.paid else None
    return prompt.max_tokens or settings.llm_max_tokens or paid


def money_of(kind: str, provider: Provider, settings: Settings) -> Money | None:
    """What the first request of an attempt can cost, before its call's request is known; None where it is free."""
    if provider.price is None:
        return None
    work = work_for(kind)
    screens = settings.moderation_fallback == "endpoint" and provider.name == SCREENED_AT and kind == MODERATION.name
    return Money(
        price=provider.price,
        budgets=Budgets.of(settings),
        max_tokens=_limit_before(work, settings),
        window=provider.context_window,
        frame=_frame(work),
        tools=_tools_bytes() if work.offer else 0,
        escapes=work.escapes,
        asks="max_tokens" in work.kind.request.model_fields,
        screens=screens,
    )


def money_for(prompt: Prompt, provider: Provider, settings: Settings) -> Money | None:
    """What a request with this prompt can cost; None where it is free."""
    if provider.price is None or isinstance(prompt, ScreenPrompt):
        return None
    return Money(
        price=provider.price,
        budgets=Budgets.of(settings),
        max_tokens=token_limit(prompt, provider, settings) or settings.understudy_paid_max_tokens,
        window=provider.context_window,
        bytes=prompt_bytes(prompt),
    )


def prompt_bytes(prompt: Prompt) -> int:
    """A bound for the tokens of a prompt: the bytes of all its texts, format and tools included."""
    return _bytes([prompt.messages, prompt.response_format, prompt.tools])


def _limit_before(work: KindWork, settings: Settings) -> int:
    own = None if work.sample is None else _sample(work.kind.name).max_tokens
    return own or settings.llm_max_tokens or settings.understudy_paid_max_tokens


@cache
def _sample(kind: str) -> Prompt:
    work = work_for(kind)
    return work.build(work.kind.request.model_validate(work.sample))


def _frame(work: KindWork) -> int:
    return UNKNOWN_FRAME if work.sample is None else prompt_bytes(_sample(work.kind.name))


def _tools_bytes() -> int:
    """Of all tools that a request may name: more than it can name of them."""
    tools = [tool_named(name) for name in known_names()]
    return _bytes([tool.spec.model_dump(mode="json") for tool in tools if tool])


def _bytes(value: object) -> int:
    """Of a JSON value as it is written, but for its escapes: the model reads the texts themselves."""
    if isinstance(value, str):
        return upper_bound_tokens(value) + 2
    if isinstance(value, dict):
        return sum(_bytes(name) + _bytes(each) + 2 for name, each in value.items()) + 1
    if isinstance(value, list | tuple):
        return sum(_bytes(each) + 1 for each in value) + 1
    return len(str(value))
