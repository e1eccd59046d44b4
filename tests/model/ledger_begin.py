"""What `begin` decides, in the order of the protocol."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.model.ledger_state import DONE, IDLE, NAMES, NEW, PAID, RESERVE, TERMINAL, Tables

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.model.ledger_state import Edge, S


class BeginSteps(Tables):
    """The answers of `begin`."""

    def begin(self, s: S, i: int) -> Iterator[Edge]:
        w, p = s.wk[i], self.provs[i]
        c, r, m = w.c, s.recs[w.c], w.msg
        name = NAMES[p]
        drop = lambda st, why: (f"{name}: begin refused ({why})", "step", self.w(st, i, IDLE))
        s = s._replace(marks=self.put(s.marks, p, max(s.marks[p], m.sent)))
        if r is None:
            if not m.plain:
                yield drop(s, "unknown call")
                return
            r = NEW._replace(plain=1, canvas=m.canvas, prov=p)
            s = s._replace(recs=self.put(s.recs, c, r))
        if r.sents[p] == m.sent:  # taken
            r = r._replace(sents=self.put(r.sents, p, 0))
            s = s._replace(recs=self.put(s.recs, c, r))
        if r.st in TERMINAL:
            if r.plain and not r.told and self.on["replay"]:
                yield (
                    f"{name}: begin replays the outcome",
                    "step",
                    self.w(s, i, w._replace(ph="s", to=DONE if r.st == "D" else 0)),
                )
            else:
                yield drop(s, f"ended {r.st}")
            return
        if r.st == "R" and self.on["begin_token"] and w.tok and r.tok == w.tok:
            rid = r.epoch if p == PAID else 0
            yield (
                f"{name}: begin repeated, same lease",
                "step",
                self.w(s, i, w._replace(ph="b", epoch=r.epoch, begun=r.begun, rid=rid, turn=r.turn)),
            )
            return
        if self.on["provider_check"] and r.prov != p:
            yield drop(s, "assigned elsewhere")
            return
        if r.st == "P" or (r.st == "R" and r.lease):
            yield drop(s, "held" if r.st == "R" else "parked")
            return
        if r.late == 1:
            s2 = self.end(s, c, "F")
            yield (
                f"{name}: begin finds the deadline passed, ends the call",
                "step",
                self.w(s2, i, w._replace(ph="s") if r.plain else IDLE),
            )
            return
        crashes = r.crashes + (r.st == "R")
        count = crashes if self.on["count_crashes"] else r.begins
        if count >= self.max_crashes:
            s2 = self.end(self.rec(s, c, crashes=crashes), c, "F")
            if not s.hurt & 1:
                s2 = s2._replace(bad="quarantined although no worker ever died")
            yield f"{name}: quarantined", "step", self.w(s2, i, w._replace(ph="s") if r.plain else IDLE)
            return
        over = p == PAID and s.spent + RESERVE > self.limit
        if s2 := (s if over else self.take(s, "deny")):
            if self.on["denied_is_parked"]:
                s2 = self.rec(
                    s2,
                    c,
                    st="P",
                    lease=0,
                    crashes=crashes,
                    denied=r.denied | 1 << p,
                    begins=r.begins + 1,
                    turn=r.turn + 1,
                )
                nw = w._replace(ph="d", epoch=r.epoch, turn=r.turn + 1)
            else:
                s2 = self.rec(s2, c, st="Q", lease=0, crashes=crashes, denied=r.denied | 1 << p, begins=r.begins + 1)
                nw = w._replace(ph="d", epoch=r.epoch, turn=r.turn)
            if not over:
                s2 = self.ghost(s2, c, allowpubs=1)
            yield f"{name}: begin denied (breaker or budget)", "step" if over else "fault", self.w(s2, i, nw)
            if over:
                return
        if r.tried >> p & 1:
            yield (
                f"{name}: begin",
                "step",
                s._replace(bad="a provider that failed this call is asked again through a stale message"),
            )
            return
        n = s.clock
        epoch = n if self.on["unique_epoch"] else r.epoch + 1
        rid = epoch if p == PAID else 0
        s2 = s._replace(clock=n + 1, spent=s.spent + (RESERVE if p == PAID else 0))
        s2 = self.rec(
            s2,
            c,
            st="R",
            epoch=epoch,
            begun=n,
            lease=1,
            crashes=crashes,
            begins=r.begins + 1,
            tok=w.tok,
            prov=p,
            rsv=r.rsv + ((rid,) if rid else ()),
        )
        yield (
            f"{name}: begin call {c}, epoch {epoch}",
            "step",
            self.w(s2, i, w._replace(ph="b", epoch=epoch, begun=n, rid=rid, turn=r.turn)),
        )
        if s3 := self.take(s2, "replylost"):
            yield f"{name}: begin applied, reply lost, will repeat", "fault", self.w(s3, i, w)
