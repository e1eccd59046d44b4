"""What the reconciler sees as due, and what it does about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.model.ledger_state import FAULTS, FREE, PAID, RESERVE, TERMINAL, Msg, Tables

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.model.ledger_state import Edge, S


class ReconcilerSteps(Tables):
    """The steps of the reconcilers."""

    def lost_evidence(self, s: S, c: int, grace: bool = True) -> bool:
        """A waiting call's message is gone: something sent later was taken, or the queue is empty.

        Timing assumption (grace 5 s): nobody alive is just about to publish or begin this call, and a message
        overtaken between ledger and queue was overtaken by less than the grace.
        """
        r = s.recs[c]
        if not self.on["evidence"]:
            return True
        if self.publishing(s, c):
            return False
        if any(m.c == c and m.sent == r.sent and m.reordered for m in s.qs[r.prov]):
            return False
        return s.marks[r.prov] >= r.sent or not s.qs[r.prov]

    def due(self, s: S, c: int) -> str | None:
        r = s.recs[c]
        if r is None:
            return None
        if r.st in TERMINAL:
            idle = not any(w.c == c for w in s.wk if w.ph != "-") and not any(m.c == c for q in s.qs for m in q)
            return "tell" if r.plain and not r.told and self.on["told"] and idle else None
        if r.late == 1:
            return "late"
        if r.st == "R":
            return None if r.lease else "lease"
        if r.st == "P":
            return "park"
        if self.lost_evidence(s, c):
            return "lost"
        other = PAID if r.prov == FREE else FREE
        if (
            s.left[FAULTS.index("slow")]
            and not self.publishing(s, c)
            and other in self.provs
            and not r.tried >> other & 1
            and not r.denied >> other & 1
        ):
            return "slow"
        return None

    def reconciler(self, s: S, i: int) -> Iterator[Edge]:
        if not self.on["reconciler"]:
            return
        me = s.rc[i]
        set_ = lambda st, v: st._replace(rc=tuple(sorted(self.put(st.rc, i, v), key=repr)))
        if me[0] != "-" and (s2 := self.take(s, "crash")):
            yield (
                "reconciler: killed",
                "fault",
                set_(self.ghost(s2, me[1], allowpubs=1)._replace(hurt=s2.hurt | 1), ("-",)),
            )
        if me[0] == "-":
            for c in range(self.ncalls):
                if why := self.due(s, c):
                    r = s.recs[c]
                    yield f"reconciler: sees call {c} due ({why})", "step", set_(s, ("c", c, r.epoch, r.turn, why))
            return
        if me[0] == "p":
            _, c, to, n = me
            r = s.recs[c]
            canvas = r.canvas if r and self.on["keep_canvas"] else 0
            yield (
                f"reconciler: publishes call {c} to {to}",
                "step",
                set_(self.publish(s, to, Msg(c, n, r.plain if r else 0, canvas)), ("-",)),
            )
            return
        _, c, epoch, turn, why = me
        r = s.recs[c]
        if r is None:
            yield "reconciler: call is gone", "step", set_(s, ("-",))
            return
        if self.on["turn_check"]:
            if (r.epoch, r.turn) != (epoch, turn) or self.due(s, c) != why:
                yield "reconciler: refused, the call has moved", "step", set_(s, ("-",))
                return
        elif r.st in TERMINAL and why != "tell":
            yield "reconciler: call has ended", "step", set_(s, ("-",))
            return
        idle = ("-",)
        if s.recs[c].late == 1 and r.st not in TERMINAL:
            yield f"reconciler: ends call {c} at its deadline", "step", set_(self.end(s, c, "F"), idle)
        elif why == "lease":
            if r.crashes + 1 >= self.max_crashes and self.on["count_crashes"]:
                yield f"reconciler: quarantines call {c}", "step", set_(self.end(s, c, "F"), idle)
                return
            s2, n = self.dispatch(s, c, r.prov, crashes=r.crashes + 1)
            yield (
                f"reconciler: lease of call {c} is over, dispatches again",
                "step",
                set_(s2, ("p", c, r.prov, n) if n else idle),
            )
        elif why == "park":
            to = self.choose(r, r.tried, 0)
            if to not in (FREE, PAID) or (to == PAID and s.spent + RESERVE > self.limit):
                yield f"reconciler: nobody can take call {c}, it fails", "step", set_(self.end(s, c, "F"), idle)
                return
            s2, n = self.dispatch(self.rec(s, c, denied=0), c, to)
            yield f"reconciler: unparks call {c} to {to}", "step", set_(s2, ("p", c, to, n) if n else idle)
        elif why == "lost":
            n = s.clock
            s2 = self.rec(s._replace(clock=n + 1), c, turn=r.turn + 1, sent=n, sents=self.put(r.sents, r.prov, n))
            yield f"reconciler: message of call {c} is gone, sends it again", "step", set_(s2, ("p", c, r.prov, n))
        elif why == "slow":
            to = PAID if r.prov == FREE else FREE
            s2 = self.ghost(self.take(s, "slow") or s, c, allowpubs=1)
            s2, n = self.dispatch(s2, c, to)
            yield (
                f"reconciler: call {c} waited too long, moves it to {to}",
                "fault",
                set_(s2, ("p", c, to, n) if n else idle),
            )
        elif why == "tell":
            n = s.clock
            s2 = self.rec(s._replace(clock=n + 1), c, sents=self.put(r.sents, r.prov, n))
            yield (
                f"reconciler: Celery was not told of call {c}, sends it once more",
                "step",
                set_(self.ghost(s2, c, allowpubs=1), ("p", c, r.prov, n)),
            )
