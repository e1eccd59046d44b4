"""Tests that run small by default and at full size in a soak, where they print what they measured."""

from __future__ import annotations

import os
import statistics
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Sequence

SOAK = os.environ.get("UNDERSTUDY_SOAK") == "1"


def sizes(names: str, small: Any, full: Any) -> pytest.MarkDecorator:
    """Run a test with the arguments `small`, and in a soak with `full`."""
    return pytest.mark.parametrize(names, [pytest.param(*_row(small), id="small"), _full(full)])


def figure(what: str, value: str) -> None:
    """Print one figure on a line of its own, in a soak."""
    if SOAK:
        print(f"\nfigure: {what}: {value}")


def spread(values: Sequence[float], unit: str = "s") -> str:
    """Median, 95th percentile and largest of some values."""
    if not values:
        return "none"
    ordered = sorted(values)
    median, p95 = statistics.median(ordered), ordered[int(len(ordered) * 0.95)]
    return f"median {median:.2f}, 95th percentile {p95:.2f}, largest {ordered[-1]:.2f} {unit} of {len(ordered)}"


def _row(given: Any) -> Sequence[Any]:
    return given if isinstance(given, tuple) else (given,)


def _full(given: Any) -> Any:
    return pytest.param(*_row(given), id="full", marks=(pytest.mark.soak, pytest.mark.timeout(3600)))
