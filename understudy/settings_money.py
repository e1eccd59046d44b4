"""The settings about money: budgets, prices, and the token limit that bounds a paid answer."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BeforeValidator, Field
from pydantic_settings import NoDecode

from understudy.contracts import KINDS
from understudy.money import AMOUNT, MICRO, microusd
from understudy.pricing import Price

if TYPE_CHECKING:
    from collections.abc import Mapping

    from understudy.settings import Settings

DEFAULT_DAY_USD = Decimal(5)
"""Where no budget is set at all: a day's bill that surprises nobody."""

MAX_PRICE = 100_000
"""US dollars for a million tokens: a hundred times the dearest model."""

NONE = "none"
_RATES = ("input", "output", "cached_input", "reasoning")
_BUDGET = f"{AMOUNT}, or {NONE}"
_PRICES = (
    "a JSON object of model to its price: input, output and, where they differ, cached_input and reasoning, all in"
    " US dollars for a million tokens, and date, the day on which they were read (YYYY-MM-DD)"
)
_KIND_BUDGETS = f"a JSON object of kind ({', '.join(KINDS)}) to {AMOUNT}"


def _budget(value: object) -> object:
    if value is None or (isinstance(value, str) and value.strip().lower() == NONE):
        return None
    try:
        return Decimal(microusd(value)) / MICRO
    except ValueError:
        raise ValueError(_BUDGET) from None


def _object(value: object, expected: str) -> dict[str, Any]:
    try:
        read = json.loads(value, parse_float=Decimal) if isinstance(value, str) else value
    except (ValueError, RecursionError):
        raise ValueError(expected) from None
    if not isinstance(read, dict):
        raise ValueError(expected)  # noqa: TRY004 - pydantic makes a sentence of a ValueError
    return read


def _kind_budgets(value: object) -> object:
    read = _object(value, _KIND_BUDGETS)
    for kind, amount in read.items():
        if kind not in KINDS:
            raise ValueError(f"{_KIND_BUDGETS}; it names {str(kind)[:40]!r}")
        try:
            microusd(amount)
        except ValueError:
            raise ValueError(f"{_KIND_BUDGETS}; that of {kind} is none") from None
    return {kind: Decimal(str(amount)) for kind, amount in read.items()}


def _prices(value: object) -> object:
    read = _object(value, _PRICES)
    return {model: row if isinstance(row, Price) else _price(str(model), row) for model, row in read.items()}


def _price(model: str, row: object) -> Price:
    fault = f"{_PRICES}; that of {model[:60]!r} "
    if not isinstance(row, dict):
        raise ValueError(f"{fault}is no object")  # noqa: TRY004 - as above
    if missing := [name for name in ("input", "output", "date") if row.get(name) is None]:
        raise ValueError(f"{fault}lacks {' and '.join(missing)}")
    if unknown := sorted(set(row) - {*_RATES, "date"}):
        raise ValueError(f"{fault}has an unknown {str(unknown[0])[:40]}")
    rates = {}
    for name in _RATES:
        try:
            rates[name] = None if row.get(name) is None else microusd(row[name])
        except ValueError:
            rates[name] = MAX_PRICE * MICRO + 1
        if (rates[name] or 0) > MAX_PRICE * MICRO:
            raise ValueError(f"{fault}has a wrong {name}: an amount without a currency, from 0 to {MAX_PRICE}")
    try:
        date = dt.date.fromisoformat(str(row["date"])).isoformat()
    except ValueError:
        raise ValueError(f"{fault}has a wrong date") from None
    return Price(**rates, date=date, source="UNDERSTUDY_PRICES")  # type: ignore[arg-type]


Usd = Annotated[Decimal | None, BeforeValidator(_budget)]
UsdByKind = Annotated[dict[str, Decimal], NoDecode, BeforeValidator(_kind_budgets)]
Prices = Annotated[dict[str, Price], NoDecode, BeforeValidator(_prices)]
MaxTokens = Annotated[int, Field(ge=1, le=1_000_000, description="a whole number from 1 to 1000000")]


@dataclass(frozen=True)
class Budgets:
    """What may be spent, in micro-dollars by days and months of UTC; None where there is no bound."""

    day: int | None = None
    month: int | None = None
    user_day: int | None = None
    kind_day: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, settings: Settings) -> Budgets:
        """Those that the settings set; the default day's where they set none at all."""
        names = [f"understudy_budget_{name}_usd" for name in ("day", "month", "user_day", "kind_day")]
        others = settings.model_fields_set.intersection(names[1:])
        day = None if others and names[0] not in settings.model_fields_set else settings.understudy_budget_day_usd
        return cls(
            day=_micro(day),
            month=_micro(settings.understudy_budget_month_usd),
            user_day=_micro(settings.understudy_budget_user_day_usd),
            kind_day={kind: int(usd * MICRO) for kind, usd in (settings.understudy_budget_kind_day_usd or {}).items()},
        )


def prices_setting(prices: Mapping[str, Price]) -> str:
    """Prices as UNDERSTUDY_PRICES holds them."""
    rows = {}
    for model, price in prices.items():
        rates = {name: getattr(price, name) for name in _RATES if getattr(price, name) is not None}
        rows[model] = {name: f"{Decimal(rate) / MICRO:f}" for name, rate in rates.items()} | {"date": price.date}
    return json.dumps(rows)


def _micro(usd: Decimal | None) -> int | None:
    return None if usd is None else int(usd * MICRO)
