"""What the broker and Redis may do to messages, events and records."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.model.ledger_state import FAULTS, FREE, PAID, Tables

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.model.ledger_state import Edge, S


class BrokerSteps(Tables):
    """Losses, duplicates, redeliveries; events trimmed; writes lost."""

    def broker(self, s: S) -> Iterator[Edge]:
        for p in (FREE, PAID):
            for k, m in enumerate(s.qs[p]):
                rest = s.qs[p][:k] + s.qs[p][k + 1 :]
                if not m.plain and (s2 := self.take(s, "lose")):
                    s2 = self.ghost(s2, m.c, allowpubs=1)._replace(qs=self.put(s.qs, p, rest))
                    yield f"broker: loses message of call {m.c}", "fault", s2._replace(hurt=s2.hurt | 1)
                if s2 := self.take(s, "dup"):
                    yield (
                        f"broker: duplicates message of call {m.c}",
                        "fault",
                        s2._replace(qs=self.put(s.qs, p, s.qs[p] + (m,)), hurt=s2.hurt | 1),
                    )
        for k, m in enumerate(s.limbo):
            rest = s.limbo[:k] + s.limbo[k + 1 :]
            kind = "step" if m.plain and s.recs[m.c] is None else "fault"
            for p in sorted(set(self.provs)):
                if p == FREE or not m.plain or s.recs[m.c] is not None:
                    yield (
                        f"broker: redelivers call {m.c} to {p}",
                        kind,
                        s._replace(limbo=rest, qs=self.put(s.qs, p, s.qs[p] + (m,))),
                    )
        for c in range(self.ncalls):
            if s.inbox[c] and (s2 := self.take(s, "trim")):
                yield f"inbox: event of call {c} trimmed", "fault", s2._replace(inbox=self.put(s.inbox, c, 0))
        snap = lambda: (s.recs, s.qs, s.limbo, s.marks, s.spent, s.inbox)
        if s.left[FAULTS.index("rollback")]:
            if s2 := self.take(s, "fsync"):
                yield "redis: writes are on disk", "fault", s2._replace(disk=snap())
            s2 = self.take(s, "rollback")
            recs, qs, limbo, marks, spent, inbox = s.disk or (
                (None,) * self.ncalls,
                ((), ()),
                (),
                (0, 0),
                0,
                (0,) * self.ncalls,
            )
            s2 = s2._replace(
                recs=recs, qs=qs, limbo=limbo, marks=marks, spent=spent, inbox=inbox, hurt=s.hurt | 7, disk=None
            )
            for c in range(self.ncalls):
                s2 = self.ghost(s2, c, allow=2, allowpubs=2)
            yield "redis: restarts without its last writes", "fault", s2
