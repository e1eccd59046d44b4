"""The protocol holds in the model, and each of its rules is needed."""

from __future__ import annotations

import pytest

from tests.model import breaker_model
from tests.model.breaker_model import Breaker
from tests.model.explore import Report, explore
from tests.model.ledger_model import World
from tests.model.ledger_state import RULES
from tests.model.mixes import FULL, LARGE, NAIVE
from tests.model.run import without

SMALL = [name for name in FULL if name not in LARGE]
# "everything once" has more states than fit into memory: safety is checked for so many of them.
LIMIT = 600_000


def story(report: Report) -> str:
    """What to print when an exploration ends otherwise than expected."""
    return "\n".join([report.line(), *report.trace])


@pytest.mark.parametrize("name", SMALL)
def test_the_ledger_holds_under_a_mix_of_faults(name: str) -> None:
    report = explore(World(**FULL[name]), name, LIMIT)
    assert report.bad is None, story(report)
    assert report.complete, story(report)


@pytest.mark.soak
@pytest.mark.parametrize("name", LARGE)
def test_the_ledger_holds_under_a_large_mix_of_faults(name: str) -> None:
    report = explore(World(**FULL[name]), name, LIMIT)
    print(report.line())
    assert report.bad is None, story(report)
    assert report.complete or name == "everything once", story(report)


@pytest.mark.parametrize("rule", NAIVE)
def test_a_ledger_without_a_rule_breaks(rule: str) -> None:
    report = explore(without(rule), f"without {rule}", LIMIT)
    assert report.bad is not None, f"nothing breaks without the rule that {RULES[rule]}: {report.line()}"


def test_every_rule_of_the_ledger_has_its_counterexample() -> None:
    assert set(NAIVE) == set(RULES)


def test_the_breaker_holds() -> None:
    report = explore(Breaker(), "breaker", LIMIT)
    assert report.bad is None, story(report)
    assert report.complete, story(report)


@pytest.mark.parametrize("rule", breaker_model.RULES)
def test_a_breaker_without_a_rule_breaks(rule: str) -> None:
    report = explore(breaker_model.without(rule), f"without {rule}", LIMIT)
    assert report.bad is not None, f"nothing breaks without the rule that {breaker_model.RULES[rule]}: {report.line()}"
