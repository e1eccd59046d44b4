"""The simulated month: routed as real calls are, the same at every run, and held to the budget."""

from __future__ import annotations

import re

import pytest

from benchmarks.cost_model import CLOSE_AFTER, FREE, PAID, TRIP, after_failure, first, main, simulate
from understudy.pricing import Price
from understudy.state.health import CLOSED, HALF_OPEN, OPEN
from understudy.state.lua import source

PRICE = Price(1_000_000, 1_000_000)
NO_BUDGET = 10**12


def test_the_router_sends_calls_to_the_paid_provider_only_while_the_free_one_is_out() -> None:
    assert [first(state) for state in (CLOSED, HALF_OPEN, OPEN)] == [FREE, FREE, PAID]
    assert after_failure(CLOSED) == after_failure(OPEN) == PAID


def test_its_breaker_has_the_limits_of_the_real_one() -> None:
    script = source("report")
    found = re.search(r"local TRIP_HARD, .*? = (\d+),", script)
    assert found is not None
    assert int(found[1]) == TRIP
    names, values = re.findall(r"local (SLOW_OF, .*?) = (.*)", script)[0]
    assert int(values.split(", ")[names.split(", ").index("CLOSE_AFTER")]) == CLOSE_AFTER


@pytest.mark.parametrize(("availability", "paid"), [(1.0, 0), (0.0, 400)])
def test_a_provider_that_is_always_there_costs_nothing_and_one_that_never_is_everything(
    availability: float, paid: int
) -> None:
    month = simulate(availability, 200, price=PRICE, budget=NO_BUDGET, days=2)
    assert (month.paid, month.free, month.lost, month.refused) == (paid, 400 - paid, 0, 0)
    assert (sum(month.days) > 0) == (paid > 0)
    assert month.held == month.days


def test_a_month_is_the_same_at_every_run_and_loses_no_call() -> None:
    months = [simulate(0.9, 500, price=PRICE, budget=NO_BUDGET, days=5) for _ in range(2)]
    assert months[0] == months[1]
    assert months[0] != simulate(0.9, 500, price=PRICE, budget=NO_BUDGET, days=5, seed=2)
    assert months[0].free + months[0].paid == 2_500
    assert months[0].lost == 0


def test_no_day_costs_more_than_its_budget() -> None:
    budget = 20_000
    month = simulate(0.0, 500, price=PRICE, budget=budget, days=2)
    assert max(month.held) <= budget < max(month.days)
    assert 0 < month.refused < month.paid


def test_it_prints_a_line_for_each_month(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--days", "1", "--calls", "50", "--availability", "0.99", "0", "--model", "gpt-4o-mini"])
    out = capsys.readouterr().out
    assert "$0.15 and $0.60 for a million tokens" in out
    rows = [line.split() for line in out.splitlines() if "%" in line]
    assert [(row[0], row[1]) for row in rows] == [("99%", "50"), ("0%", "50")]
    assert rows[1][2:4] == ["0", "50"]
