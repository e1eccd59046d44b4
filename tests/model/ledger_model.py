"""The ledger protocol as an explicit-state model: who may do what next, and what must never be."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.model.ledger_broker import BrokerSteps
from tests.model.ledger_client import ClientSteps
from tests.model.ledger_operator import OperatorSteps
from tests.model.ledger_reconciler import ReconcilerSteps
from tests.model.ledger_state import FREE, IDLE, TERMINAL, Ghost, Msg, S
from tests.model.ledger_worker import WorkerSteps

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from tests.model.ledger_state import Edge


class World(ClientSteps, WorkerSteps, ReconcilerSteps, OperatorSteps, BrokerSteps):
    """The whole, with what must never be and what a good end is."""

    def initial(self) -> S:
        qs: list[tuple[Any, ...]] = [(), ()]
        cl = []
        for c in range(self.ncalls):
            if c in self.plain:
                qs[FREE] += (Msg(c, 0, 1, 1),)
                cl.append(("-", 0, 0))
            else:
                cl.append(("n", 0, 0))
        ghost = Ghost(0, 1, 0, 1, 0, 0, ())
        return S(
            (None,) * self.ncalls,
            (IDLE,) * len(self.provs),
            (("-",),) * self.nrecs,
            tuple(cl),
            (0,) * self.ncalls,
            tuple(qs),
            (),
            (0, 0),
            0,
            0,
            1,
            (ghost,) * self.ncalls,
            self.budget,
            None,
            None,
            0,
        )

    def bad(self, s: S) -> str | None:
        if s.bad:
            return str(s.bad)
        if s.spent < s.cost and not s.hurt & 2:
            return f"money undercounted: ledger says {s.spent}, provider charged {s.cost}"
        for c, g in enumerate(s.g):
            if g.req > g.allow:
                return f"{g.req} provider requests where 1 + failures + crashes allow {g.allow}"
            if g.pubs > g.allowpubs + 2:
                return f"call {c} published {g.pubs} times where faults explain {g.allowpubs}"
            for p in (0, 1):
                copies = sum(m.c == c for m in s.qs[p])
                if copies > 1 and not s.hurt & 1:
                    return f"{copies} messages of one call wait in one queue without any loss"
        if all(w.ph == "-" for w in s.wk) and not s.hurt & 2 and not s.hurt & 4 and s.spent != s.cost:
            if all(r is None or r.st in TERMINAL for r in s.recs):
                return f"reservation leaked: ledger says {s.spent}, provider charged {s.cost}, nobody died"
        return None

    def done(self, s: S, c: int) -> bool:
        r, g = s.recs[c], s.g[c]
        if c in self.plain:
            return bool(g.stored and (g.chain or (r and r.st != "D")))
        ended = r is not None and r.st in TERMINAL
        if s.cl[c][0] == "g":
            return bool(not s.hurt & 8 or ended or r is None)  # what an operator ran again comes to an end, too
        return bool(s.cl[c][0] == "x" and (ended or r is None))

    def good(self, s: S) -> bool:
        return all(self.done(s, c) for c in range(self.ncalls))

    def why_not_good(self, s: S) -> str:
        c = next(c for c in range(self.ncalls) if not self.done(s, c))
        r = s.recs[c]
        return (
            f"call {c} ({'plain' if c in self.plain else 'bot'}) is {r.st if r else 'missing'} in the ledger, "
            f"client {s.cl[c]}, stored={s.g[c].stored} chain={s.g[c].chain}"
        )

    def successors(self, s: S) -> Iterator[Edge]:
        if s.bad:
            return
        for c in range(self.ncalls):
            yield from self.client(s, c)
            yield from self.passing(s, c)
            yield from self.operator(s, c)
        for i in range(len(self.provs)):
            if i and self.provs[i] == self.provs[i - 1] and s.wk[i] == s.wk[i - 1]:
                continue
            yield from self.worker(s, i)
        for i in range(self.nrecs):
            yield from self.reconciler(s, i)
        yield from self.broker(s)
