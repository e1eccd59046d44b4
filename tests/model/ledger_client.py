"""What a client does, and what time does to a call."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.model.ledger_state import FREE, NEW, TERMINAL, Msg, Tables

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.model.ledger_state import Edge, S


class ClientSteps(Tables):
    """The steps of clients, and of time."""

    def client(self, s: S, c: int) -> Iterator[Edge]:
        ph, p, sent = s.cl[c]
        r = s.recs[c]
        set_ = lambda st, v: st._replace(cl=self.put(st.cl, c, v))
        if ph == "n":
            n = s.clock
            s2 = s._replace(clock=n + 1, recs=self.put(s.recs, c, NEW._replace(sent=n, sents=(n, 0))))
            yield f"client {c}: open", "step", set_(s2, ("o", FREE, n))
        elif ph == "o":
            yield f"client {c}: publish to {p}", "step", set_(self.publish(s, p, Msg(c, sent, 0, 0)), ("w", 0, 0))
        elif ph == "w":
            if s.inbox[c]:
                yield f"client {c}: reads {s.inbox[c]} from inbox", "step", set_(s, ("g", 0, 0))
            if self.on["client_checks"] and r and r.st in TERMINAL:
                yield f"client {c}: checks ledger, finds {r.st}", "step", set_(s, ("g", 0, 0))
            if self.on["client_redrives"] and r is None:
                n = s.clock
                s2 = s._replace(clock=n + 1, recs=self.put(s.recs, c, NEW._replace(sent=n, sents=(n, 0))))
                s2 = self.ghost(s2, c, allow=1, allowpubs=1)
                yield f"client {c}: call is missing, opens it again", "step", set_(s2, ("o", FREE, n))
            if (s2 := self.take(s, "cancel")) and r:
                if r.st not in TERMINAL:
                    if self.on["cancel_is_terminal"]:
                        s2 = self.end(s2, c, "X")
                    else:  # naive: a flag that the worker looks at; the client is told at once
                        s2 = s2._replace(inbox=self.put(s2.inbox, c, "X"))
                        s2 = self.rec(s2, c, late=2)
                yield f"client {c}: cancel", "fault", s2
        elif ph == "z":
            if r is None:
                n = s.clock
                s2 = s._replace(clock=n + 1, recs=self.put(s.recs, c, NEW._replace(sent=n, sents=(n, 0))))
                s2 = self.ghost(s2, c, allow=1, allowpubs=1)
                yield f"client {c}: comes back, opens again", "step", set_(s2, ("o", FREE, n))
            else:
                s2 = s._replace(inbox=self.put(s.inbox, c, 0))
                yield (
                    f"client {c}: comes back, attaches ({r.st})",
                    "step",
                    set_(s2, ("g" if r.st in TERMINAL else "w", 0, 0)),
                )
        if ph in "ow" and (s2 := self.take(s, "clientcrash")):
            s2 = s2._replace(inbox=self.put(s2.inbox, c, 0))
            yield f"client {c}: dies in {ph}", "fault", set_(s2, ("x", 0, 0))
            yield f"client {c}: dies in {ph}, will come back", "fault", set_(s2, ("z", 0, 0))

    def passing(self, s: S, c: int) -> Iterator[Edge]:
        """Time passes for one call: the lease runs out, the deadline comes."""
        r = s.recs[c]
        if r is None or r.st in TERMINAL:
            return
        if r.st == "R" and r.lease:
            if not self.holder(s, c):
                yield (
                    f"call {c}: lease of a dead worker runs out",
                    "step",
                    self.rec(s, c, lease=0)._replace(hurt=s.hurt | 4),
                )
            elif s2 := self.take(s, "pause"):
                s2 = self.ghost(self.rec(s2, c, lease=0), c, allow=1, allowpubs=1)
                yield f"call {c}: its worker is paused, lease runs out", "fault", s2._replace(hurt=s2.hurt | 1)
        if not r.late and (s2 := self.take(s, "deadline")):
            yield f"call {c}: deadline passes", "fault", self.rec(s2, c, late=1)
