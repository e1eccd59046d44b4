"""What the ledger's scripts need to know to reserve what a request can cost."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from understudy.contracts.moderation import DEFAULT_RULES

if TYPE_CHECKING:
    from understudy.pricing import Price
    from understudy.settings_money import Budgets


@dataclass(frozen=True)
class Money:
    """What one request to a paid provider can cost at most, and what may be spent.

    Before the worker has seen a call's request, the script counts that request's bytes; afterwards the worker counts.

    Args:
        max_tokens: the token limit of the answer.
        window: the provider's context window, which bounds the prompt.
        frame: bytes of the prompt that are not the request itself.
        escapes: characters of the request may stand in the prompt as escapes, which are longer.
        tools: bytes of the tools that a request may name.
        asks: the request may name its own token limit.
        screens: moderations by the default rules go to an endpoint that costs nothing.
        bytes: of all that is sent; then the last five do not matter.
    """

    price: Price
    budgets: Budgets
    max_tokens: int
    window: int
    frame: int = 0
    escapes: bool = False
    tools: int = 0
    asks: bool = False
    screens: bool = False
    bytes: int | None = None

    def fields(self) -> dict[str, Any]:
        """As the scripts read it; rates are micro-dollars for a million."""
        rates = self.price.worst(self.window)
        budgets = {name: value for name, value in asdict(self.budgets).items() if value not in (None, {})}
        known = {"input": rates[0], "output": rates[1], "request": self.price.request, "max_tokens": self.max_tokens}
        if self.bytes is not None:
            return {**known, "budgets": budgets, "bytes": self.bytes}
        counted = {"frame": self.frame, "tools": self.tools, "escapes": self.escapes, "asks": self.asks}
        return {**known, "budgets": budgets, **counted, **({"free_rules": DEFAULT_RULES} if self.screens else {})}
