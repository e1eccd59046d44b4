"""Print what the explorer finds: `python -m tests.model.run [full|naive|breaker] [name] [limit]`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from tests.model import breaker_model
from tests.model.breaker_model import Breaker
from tests.model.explore import explore
from tests.model.ledger_model import World
from tests.model.ledger_state import RULES
from tests.model.mixes import FULL, NAIVE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.model.explore import Model


def without(rule: str) -> World:
    """The world in which that rule is left out, under the mix of faults that shows what it is for."""
    mix = dict(NAIVE[rule])
    return World(**{**mix, "off": (rule, *mix.get("off", ()))})


def models(what: str) -> Iterator[tuple[str, str, Model]]:
    """Yield name, the rule left out (or nothing) and model of everything in that group."""
    if what == "full":
        for name, mix in FULL.items():
            yield name, "", World(**mix)
    elif what == "naive":
        for rule in NAIVE:
            yield f"without {rule}", RULES[rule], without(rule)
    else:
        yield "breaker", "", Breaker()
        for rule, meaning in breaker_model.RULES.items():
            yield f"without {rule}", meaning, breaker_model.without(rule)


def main(what: str = "full", only: str = "", limit: str = "600000") -> None:
    """Explore every model of the group whose name contains `only`."""
    for name, rule, model in models(what):
        if only not in name:
            continue
        report = explore(model, name, int(limit))
        print(report.line(), flush=True)
        if report.bad:
            print("   rule:", rule or "none left out")
            for k, step in enumerate(report.trace):
                print(f"   {k:2} {step}")


if __name__ == "__main__":
    main(*sys.argv[1:])
