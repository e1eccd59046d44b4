"""Amounts of money, as options take them."""

from __future__ import annotations

from typing import Any

import click

from understudy.money import microusd


class Dollars(click.ParamType[int]):
    """An amount in US dollars such as `5` or `0.25`, read as micro-dollars."""

    name = "usd"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The amount in micro-dollars."""
        if isinstance(value, int):
            return value
        try:
            return microusd(value)
        except ValueError as error:
            self.fail(f"it must be {error}", param, ctx)
