"""What a worker does with a call after it has begun."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.model.ledger_begin import BeginSteps
from tests.model.ledger_state import COST, DONE, FAULTS, FREE, IDLE, NAMES, PAID, RESERVE, TERMINAL, Msg

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.model.ledger_state import Edge, S


class WorkerSteps(BeginSteps):
    """The steps of workers."""

    def worker(self, s: S, i: int) -> Iterator[Edge]:
        w, p = s.wk[i], self.provs[i]
        go = lambda st, **kw: self.w(st, i, w._replace(**kw))
        drop = lambda st: self.w(st, i, IDLE)
        name = NAMES[p]
        if w.ph != "-" and (s2 := self.take(s, "crash")):
            s2 = self.ghost(s2, w.c, allow=1, allowpubs=1)
            if w.ph == "r" and p == PAID:
                s2 = s2._replace(cost=s2.cost + RESERVE)
            s2 = s2._replace(hurt=s2.hurt | 1 | 4)
            s3 = s2._replace(limbo=s2.limbo + (w.msg,)) if w.msg else s2
            yield f"{name}: killed in phase {w.ph}, message unacked", "fault", drop(s3)
            if w.ph == "g" and not w.msg.plain:
                yield f"{name}: killed between pop and bookkeeping, message lost", "fault", drop(s2)
        if w.ph == "-":
            if s.qs[p]:
                m, rest = s.qs[p][0], s.qs[p][1:]
                s2 = s._replace(qs=self.put(s.qs, p, rest))
                tok = 0
                if self.budget[FAULTS.index("replylost")]:
                    tok, s2 = s2.clock, s2._replace(clock=s2.clock + 1)
                yield (
                    f"{name}: takes message of call {m.c} (sent {m.sent})",
                    "step",
                    self.w(s2, i, IDLE._replace(ph="g", c=m.c, msg=m, tok=tok)),
                )
            return
        c, r = w.c, s.recs[w.c]
        mine = r is not None and r.st not in TERMINAL and r.epoch == w.epoch
        holds = mine and r.st == "R"
        if w.ph == "g":
            yield from self.begin(s, i)
        elif w.ph == "b":
            s2 = self.ghost(s, c, req=1)
            if p == PAID and (r is not None) and w.rid not in r.rsv and not s.hurt & 2:
                s2 = s2._replace(bad="a paid request without a reservation of its own")
            yield f"{name}: sends request for call {c} (epoch {w.epoch})", "step", go(s2, ph="r")
            if not (holds and r.lease):
                s2 = self.settle(s, c, w.rid, 0)
                yield f"{name}: sees by its own clock that the lease is over, sends nothing", "step", drop(s2)
        elif w.ph == "r":
            yield f"{name}: provider answers", "step", go(s._replace(cost=s.cost + COST) if p == PAID else s, ph="a")
            if s2 := self.take(s, "fail"):
                yield f"{name}: provider fails", "fault", go(self.ghost(s2, c, allow=1, allowpubs=1), ph="f")
            if s2 := self.take(s, "cut"):
                s2 = self.ghost(s2, c, allow=1, allowpubs=1)
                yield (
                    f"{name}: answer cut off, maybe billed",
                    "fault",
                    go(s2._replace(cost=s2.cost + RESERVE) if p == PAID else s2, ph="u"),
                )
        elif w.ph == "a":
            accepted = mine and (r.st == "R" or self.on["late_commit"])
            if not self.on["cancel_is_terminal"] and mine and r.late == 2 and s.cl[c][0] == "g":
                yield (
                    f"{name}: commits after cancel",
                    "step",
                    s._replace(bad="a second terminal outcome: X shown, then D"),
                )
                return
            s2 = s
            if mine and not accepted:
                s2 = s2._replace(bad="a good answer is thrown away although nobody else had begun")
            if accepted or self.on["settle_always"]:
                s2 = self.settle(s2, c, w.rid, COST if p == PAID else 0)
            if accepted:
                s2 = self.end(s2, c, "D", out=w.begun, begun=w.begun)
                if not s2.bad:
                    s2 = self.ghost(s2, c, outs=(w.begun,))
            nxt = "s" if accepted and w.msg.plain else ("e" if accepted and not self.on["inbox_in_commit"] else None)
            yield (
                f"{name}: finish, {'accepted' if accepted else 'refused'}",
                "step",
                (go(s2, ph=nxt, to=DONE) if nxt else drop(s2)),
            )
            if s3 := self.take(s2, "replylost"):
                yield f"{name}: finish applied, reply lost, will repeat", "fault", go(s3, ph="A")
        elif w.ph == "A":
            s2 = self.settle(s, c, w.rid, COST if p == PAID else 0)
            ended = r is not None and r.st == "D" and r.out == w.begun
            yield f"{name}: finish repeated", "step", (go(s2, ph="s", to=DONE) if ended and w.msg.plain else drop(s2))
        elif w.ph == "e":
            yield f"{name}: sends inbox event", "step", drop(s._replace(inbox=self.put(s.inbox, c, "D")))
        elif w.ph in "fu":
            yield from self.failed(s, i)
        elif w.ph == "d":
            yield from self.hop(s, i, s, (w.epoch, w.turn), tried=0)
        elif w.ph == "h":
            yield (
                f"{name}: publishes call {c} to provider {w.to}",
                "step",
                drop(self.publish(s, w.to, Msg(c, w.sent, r.plain if r else 0, w.msg.canvas if w.msg else 0))),
            )
        elif w.ph == "p":  # naive order: the message is out, the ledger not yet
            s2 = self.settle(s, c, w.rid, 0)
            if holds:
                s2 = self.rec(
                    s2,
                    c,
                    st="Q",
                    prov=w.to,
                    tried=r.tried | 1 << p,
                    turn=r.turn + 1,
                    lease=0,
                    sent=w.sent,
                    sents=self.put(r.sents, w.to, w.sent),
                )
            yield f"{name}: writes hop to ledger (after publishing)", "step", drop(s2)
        elif w.ph == "s":
            chain = 1 if w.msg.canvas and r and w.to == DONE else 0
            s2 = self.ghost(s, c, stored=1 - s.g[c].stored, chain=chain if not s.g[c].chain else 0)
            if r and r.st in TERMINAL:
                s2 = self.rec(s2, c, told=1)
            yield f"{name}: Celery stores the result of call {c}, message acked", "step", drop(s2)

    def failed(self, s: S, i: int) -> Iterator[Edge]:
        w, p = s.wk[i], self.provs[i]
        c, r = w.c, s.recs[w.c]
        name = NAMES[p]
        holds = r is not None and r.st == "R" and r.epoch == w.epoch
        actual = None if w.ph == "u" else 0
        if holds and r.lease and not w.again:  # the same provider once more
            if p != PAID:
                yield f"{name}: tries the same provider again", "step", self.w(s, i, w._replace(ph="b", again=1))
            elif not self.on["reserve_each_request"]:
                yield (
                    f"{name}: tries again under the old reservation",
                    "step",
                    self.w(s, i, w._replace(ph="b", again=1)),
                )
            elif s.spent + RESERVE - (0 if actual is None else RESERVE) <= self.limit:
                n = s.clock
                s2 = self.settle(s, c, w.rid, actual)
                s2 = s2._replace(clock=n + 1, spent=s2.spent + RESERVE)
                s2 = self.rec(s2, c, rsv=s2.recs[c].rsv + (n,))
                yield (
                    f"{name}: again (settles, reserves anew)",
                    "step",
                    self.w(s2, i, w._replace(ph="b", again=1, rid=n)),
                )
        if not self.on["ledger_before_publish"]:
            to = self.choose(r, r.tried | 1 << p, r.denied) if r else "fail"
            if holds and to in (FREE, PAID):
                n = s.clock
                s2 = self.publish(s._replace(clock=n + 1), to, Msg(c, n, 0, 0))
                yield (
                    f"{name}: publishes to {to} before the ledger knows",
                    "step",
                    self.w(s2, i, w._replace(ph="p", to=to, sent=n)),
                )
                return
        s2 = s
        if holds or self.on["settle_always"]:
            s2 = self.settle(s, c, w.rid, actual)
        yield from self.hop(s2, i, s2, (w.epoch, r.turn if r else 0), tried=1 << p)

    def hop(self, s: S, i: int, s2: S, fence: tuple[int, int], tried: int) -> Iterator[Edge]:
        """A worker moves its call on; refused when somebody else has done so."""
        w, p = s.wk[i], self.provs[i]
        c, r = w.c, s2.recs[w.c]
        name = NAMES[p]
        ok = (
            r is not None
            and r.st in ("QP" if w.ph == "d" else "R")
            and r.epoch == fence[0]
            and (w.ph != "d" or not self.on["turn_check"] or r.turn == fence[1])
        )
        if not ok:
            yield f"{name}: hop refused", "step", self.w(s2, i, IDLE)
            return
        to = self.choose(r, r.tried | tried, r.denied)
        if to == "fail":
            s3 = self.end(self.rec(s2, c, tried=r.tried | tried), c, "F")
            yield (
                f"{name}: no provider left, call {c} fails",
                "step",
                self.w(s3, i, w._replace(ph="s") if w.msg.plain else IDLE),
            )
        elif to == "park":
            s3 = self.rec(s2, c, st="P", tried=r.tried | tried, turn=r.turn + 1, lease=0)
            yield f"{name}: parks call {c}", "step", self.w(s3, i, IDLE)
        else:
            s3, n = self.dispatch(s2, c, to, tried=r.tried | tried)
            if n is None:
                yield f"{name}: hop to {to}, message still waits there", "step", self.w(s3, i, IDLE)
            else:
                yield f"{name}: hop to {to} written", "step", self.w(s3, i, w._replace(ph="h", to=to, sent=n))
