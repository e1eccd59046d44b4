"""What the model's world consists of, and the ledger's scripts over it; every rule can be switched off.

Untimed: time passing is an event. Timing assumptions are listed in `ReconcilerSteps.lost_evidence`.
Money: a paid request reserves 2 units and costs 1 (answered), 2 (cut off: unknown) or 0 (refused).
"""

from __future__ import annotations

from collections import namedtuple
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

FREE, PAID, NONE = 0, 1, -1
RESERVE, COST = 2, 1
DONE = 1
TERMINAL = "DFX"
NAMES = ("ollama worker", "openai worker")

# A call's record: st is Q queued, P parked, R running, D done, F failed, X cancelled.
Rec = namedtuple(
    "Rec",
    "st epoch begun turn prov lease sent sents crashes begins tried denied tok rsv settled plain canvas told out late",
)
NEW = Rec("Q", 0, 0, 1, FREE, 0, 0, (0, 0), 0, 0, 0, 0, 0, (), (), 0, 0, 0, 0, 0)
# A worker. Its phase: - idle, g got a message, b begun, r request out, a answered, f failed, u unknown, d denied,
# h must publish a hop, e must send the inbox event (naive), s must tell Celery, p (naive) hop to write.
# What it tells Celery stands in `to`.
Wk = namedtuple("Wk", "ph c msg epoch begun rid again tok turn to sent")
IDLE = Wk("-", -1, None, 0, 0, 0, 0, 0, 0, 0, 0)
Msg = namedtuple("Msg", "c sent plain canvas reordered", defaults=(0,))
# What nobody in the system sees, but the checks need: requests made and allowed, publishes, results stored.
Ghost = namedtuple("Ghost", "req allow pubs allowpubs stored chain outs")
# The whole: records, workers, reconcilers, clients, inboxes, queues, unacknowledged messages, marks, money.
S = namedtuple("S", "recs wk rc cl inbox qs limbo marks spent cost clock g left disk bad hurt")

Edge = tuple[str, str, S]
"""Label, kind ('step' or 'fault') and the state it leads to."""

FAULTS = (
    *("crash", "lose", "dup", "pause", "fail", "cut", "deny", "cancel", "deadline", "trim", "replylost", "slow"),
    *("clientcrash", "rollback", "fsync", "eager", "rerun"),
)
"""Each mix of faults says how many of each may happen."""

RULES = {
    "ledger_before_publish": "a hop is written to the ledger before its message is published",
    "provider_check": "begin refuses a message at a provider the call is not assigned to",
    "evidence": "a waiting call is published again only with evidence that its message is gone",
    "reuse_message": "a hop back to a queue that still holds the call's message publishes nothing",
    "turn_check": "hop and redrive quote (epoch, turn) and are refused when either has moved",
    "settle_always": "settle and health are applied even when the outcome is refused",
    "settle_once": "settling a reservation twice does nothing",
    "reserve_each_request": "every provider request, also the second within an attempt, has its own reservation",
    "begin_token": "a repeated begin of the same execution gets the same answer",
    "count_crashes": "quarantine counts leases that ran out, not deliveries",
    "cancel_is_terminal": "cancel ends the call in the ledger; a later commit is refused",
    "inbox_in_commit": "the terminal event is added by the script that ends the call",
    "client_checks": "a client looks at the ledger now and then",
    "client_redrives": "a client that finds its call missing opens it again",
    "unique_epoch": "an epoch is never handed out twice, also after Redis lost writes",
    "replay": "a message for a call that ended but was not told to Celery gets the stored outcome",
    "told": "the reconciler re-drives ended plain calls until Celery was told",
    "keep_canvas": "links, chain and chord of a plain call are kept in the ledger for re-publishing",
    "reconciler": "calls that are due are re-driven",
    "denied_is_parked": "a begin that is denied parks the call in the same script",
    "late_commit": "a commit whose epoch nobody followed is accepted although the lease ran out",
    "rerun_epoch": "a call that is run again takes a new epoch, so that no answer of its earlier run ends it",
    "rerun_reuses": "a call that is run again remembers which queue still holds a message of it",
    "rerun_told": "a call is not run again before Celery was told of its end",
}


class Tables:
    """A world's fixed part, and the small steps that all actors share.

    Args:
        workers: the provider of each worker.
        calls: how many calls there are.
        recs: how many reconcilers.
        off: the rules that are switched off.
        budget: how many of each fault may happen.
        plain: the calls that come from a plain Celery caller.
        limit: the budget for paid requests, in units.
        max_crashes: leases that may run out before the call is quarantined.
    """

    def __init__(
        self,
        workers: Sequence[int] = (FREE, PAID),
        calls: int = 1,
        recs: int = 1,
        off: Sequence[str] = (),
        budget: Mapping[str, int] | None = None,
        plain: Sequence[int] = (),
        limit: int = 99,
        max_crashes: int = 3,
    ) -> None:
        unknown = {*off} - {*RULES} or {*(budget or {})} - {*FAULTS}
        if unknown:
            raise ValueError(f"no such rule or fault: {', '.join(sorted(unknown))}")
        self.provs, self.ncalls, self.nrecs = tuple(workers), calls, recs
        self.on = {rule: rule not in off for rule in RULES}
        self.budget = tuple((budget or {}).get(name, 0) for name in FAULTS)
        self.plain, self.limit, self.max_crashes = plain, limit, max_crashes

    def take(self, s: S, name: str) -> S | None:
        i = FAULTS.index(name)
        if s.left[i] <= 0:
            return None
        return s._replace(left=s.left[:i] + (s.left[i] - 1,) + s.left[i + 1 :])

    @staticmethod
    def put(t: tuple[Any, ...], i: int, v: Any) -> tuple[Any, ...]:
        return t[:i] + (v,) + t[i + 1 :]

    def rec(self, s: S, c: int, **kw: Any) -> S:
        return s._replace(recs=self.put(s.recs, c, s.recs[c]._replace(**kw)))

    def ghost(self, s: S, c: int, **kw: Any) -> S:
        g = s.g[c]
        return s._replace(g=self.put(s.g, c, g._replace(**{k: getattr(g, k) + v for k, v in kw.items()})))

    def w(self, s: S, i: int, new: Wk) -> S:
        wk = list(self.put(s.wk, i, new))
        for a in range(len(wk) - 1):  # workers of one provider are alike: keep them sorted
            if self.provs[a] == self.provs[a + 1] and repr(wk[a + 1]) < repr(wk[a]):
                wk[a], wk[a + 1] = wk[a + 1], wk[a]
        return s._replace(wk=tuple(wk))

    def publish(self, s: S, p: int, msg: Msg) -> S:
        if max([s.marks[p], *(r.sents[p] for r in s.recs if r)]) > msg.sent:
            msg = msg._replace(reordered=1)  # the publisher was overtaken; 5 s of grace cover this
        s = s._replace(qs=self.put(s.qs, p, s.qs[p] + (msg,)))
        return self.ghost(s, msg.c, pubs=1)

    def end(self, s: S, c: int, how: str, out: int = 0, epoch: int | None = None, begun: int | None = None) -> S:
        r = s.recs[c]
        if r.st in TERMINAL:
            return s._replace(bad=f"a second terminal outcome: {r.st} then {how}")
        if begun is not None and begun != r.begun:
            return s._replace(bad="the result of an old epoch was accepted")
        s = self.rec(s, c, st=how, out=out, turn=r.turn + 1)
        if self.on["inbox_in_commit"] or how != "D":
            s = s._replace(inbox=self.put(s.inbox, c, how))
        return s

    def dispatch(self, s: S, c: int, to: int, **kw: Any) -> tuple[S, int | None]:
        """Assign the call to `to`; returns (state, sent or None when the queue still holds its message)."""
        r = s.recs[c]
        overtaken = any(m.c == c and m.sent == r.sents[to] and m.reordered for m in s.qs[to])  # within the grace
        if self.on["reuse_message"] and r.sents[to] and (r.sents[to] > s.marks[to] or overtaken):
            return self.rec(s, c, st="Q", prov=to, lease=0, turn=r.turn + 1, sent=r.sents[to], **kw), None
        n = s.clock
        s = s._replace(clock=n + 1)
        return self.rec(
            s, c, st="Q", prov=to, lease=0, turn=r.turn + 1, sent=n, sents=self.put(r.sents, to, n), **kw
        ), n

    def settle(self, s: S, c: int, rid: int, actual: int | None) -> S:
        """Settle a request; with `actual` None, unknown, the whole reservation counts."""
        if not rid:
            return s
        r = s.recs[c]
        if r is None:
            return s._replace(spent=s.spent + (RESERVE if actual is None else actual))
        if rid in r.rsv or (not self.on["settle_once"] and rid in r.settled):
            if actual is not None:
                s = s._replace(spent=s.spent - RESERVE + actual)
            return self.rec(s, c, rsv=tuple(x for x in r.rsv if x != rid), settled=tuple(sorted({*r.settled, rid})))
        if rid in r.settled:
            return s
        s = s._replace(spent=s.spent + (RESERVE if actual is None else actual))
        return self.rec(s, c, settled=tuple(sorted({*r.settled, rid})))

    def choose(self, r: Rec, tried: int, denied: int) -> int | str:
        for p in (FREE, PAID):
            if p in self.provs and not (tried | denied) >> p & 1:
                return p
        return "park" if (denied & ~tried) else "fail"

    def holder(self, s: S, c: int) -> list[Wk]:
        r = s.recs[c]
        return [w for w in s.wk if w.ph in "brafu" and w.c == c and r and w.epoch == r.epoch]

    def publishing(self, s: S, c: int) -> bool:
        return (
            any(w.ph in "gh" and w.c == c for w in s.wk)
            or s.cl[c][0] == "o"
            or any(x[0] == "p" and x[1] == c for x in s.rc)
        )
