"""Amounts of money: whole micro-dollars everywhere, US dollars where people write them."""

from __future__ import annotations

import re
from decimal import Decimal

MICRO = 1_000_000
"""Micro-dollars in a dollar."""

MAX_USD = 1_000_000
"""Nobody's budget for chat bots; more is a typing error."""

_AMOUNT = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,6})?")
AMOUNT = f"an amount in US dollars without a currency, such as 5 or 0.25, from 0 to {MAX_USD}"


def microusd(value: object) -> int:
    """An amount in US dollars, as people write it, in micro-dollars.

    Raises:
        ValueError: with what an amount looks like.
    """
    text = str(value).strip() if isinstance(value, str | int | float | Decimal) and not isinstance(value, bool) else ""
    if not _AMOUNT.fullmatch(text) or Decimal(text) > MAX_USD:
        raise ValueError(AMOUNT)
    return int(Decimal(text) * MICRO)


def dollars(amount_microusd: int) -> str:
    """An amount in words, such as `$5.00` or `$0.000150`: as many decimals as it takes, two at least."""
    whole, rest = divmod(abs(amount_microusd), MICRO)
    decimals = f"{rest:06d}".rstrip("0").ljust(2, "0")
    return f"{'-' if amount_microusd < 0 else ''}${whole:,}.{decimals}"
