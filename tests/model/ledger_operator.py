"""What an operator does with a call that failed or was cancelled."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.model.ledger_state import Tables

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.model.ledger_state import Edge, S


class OperatorSteps(Tables):
    """The steps of operators."""

    def operator(self, s: S, c: int) -> Iterator[Edge]:
        """The call runs again: parked and due, as if it were new, but for what fences it and what it cost.

        Not before Celery was told of the end, or whoever tells it would seem to have told of the next one.
        """
        r = s.recs[c]
        untold = r is not None and r.plain and not r.told and self.on["rerun_told"]
        if r is None or r.st not in "FX" or untold or not (s2 := self.take(s, "rerun")):
            return
        n = s.clock
        s2 = self.rec(
            s2._replace(clock=n + 1, hurt=s2.hurt | 8),
            c,
            st="P",
            epoch=n if self.on["rerun_epoch"] else r.epoch,
            begun=0,  # no answer of an earlier run may end this one
            turn=r.turn + 1,
            lease=0,
            sents=r.sents if self.on["rerun_reuses"] else (0, 0),
            crashes=0,
            begins=0,
            tried=0,
            denied=0,
            told=0,
            out=0,
            late=0,
        )
        g = s2.g[c]
        yield f"operator: runs call {c} again", "fault", self.ghost(s2, c, allow=1, allowpubs=1, stored=-g.stored)
