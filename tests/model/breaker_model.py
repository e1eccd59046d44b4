"""The breaker's permits as an explicit-state model: 3 attempts, one prober, generation, leases."""

from __future__ import annotations

from collections import namedtuple
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

B = namedtuple(
    "B", "mode gen hard succ permits prober ws left bad"
)  # permits: (id, alive) with alive=0: its lease ran out
W = namedtuple("W", "ph gen pid")  # - idle, r request out (ok or bad to come), x lost its permit's lease but still runs
IDLE = W("-", 0, 0)
TRIP, LIMITS, CLOSE = 2, (1, 2, 2), 3

RULES = {
    "permit_lease": "a permit that is not renewed frees its place",
    "renew_permit": "a permit is renewed together with the call's lease, for as long as the request runs",
    "generation": "a report of an older generation changes nothing",
    "report_always": "the report frees the permit also when the call was lost or cancelled",
    "check_then_take": "begin looks at breaker and budget before it takes either",
    "clear_on_change": "a change of state drops all permits of the old generation",
    "prober_lease": "the prober's right to probe runs out",
}


class Breaker:
    """The breaker with its attempts and its prober; every rule can be switched off."""

    # generations stay finite: a closed breaker that was open twice is a good end, so failures are budgeted
    def __init__(
        self, off: Sequence[str] = (), crash: int = 1, pause: int = 1, deny: int = 1, cancel: int = 1, failures: int = 5
    ) -> None:
        self.on = {r: r not in off for r in RULES}
        self.budget = (crash, pause, deny, cancel, failures)

    def initial(self) -> B:
        return B("closed", 0, 0, 0, (), 0, (IDLE,) * 3, self.budget, None)

    def bad(self, s: B) -> str | None:
        if s.bad:
            return str(s.bad)
        if s.left[:2] == self.budget[:2] and any(all(w.pid != p for w in s.ws) for p in s.permits):
            return "a place is held by nobody although nobody died or paused"
        if s.mode == "half":
            held = len(s.permits)
            inflight = sum(w.ph == "r" and w.gen == s.gen for w in s.ws)
            if held > LIMITS[min(s.succ, 2)]:
                return f"{held} permits, limit {LIMITS[min(s.succ, 2)]}"
            if inflight > LIMITS[min(s.succ, 2)]:
                return f"{inflight} live attempts through a half-open breaker, limit {LIMITS[min(s.succ, 2)]}"
        return None

    def good(self, s: B) -> bool:
        return bool(s.mode == "closed" and not s.permits)

    def why_not_good(self, s: B) -> str:
        return f"the breaker cannot close any more: {s.mode}, permits {s.permits}, prober {s.prober}"

    def take(self, s: B, i: int) -> B | None:
        return s._replace(left=s.left[:i] + (s.left[i] - 1,) + s.left[i + 1 :]) if s.left[i] else None

    def change(self, s: B, mode: str) -> B:
        return s._replace(
            mode=mode, gen=s.gen + 1, hard=0, succ=0, permits=() if self.on["clear_on_change"] else s.permits
        )

    def report(self, s: B, w: W, ok: bool | None) -> B:
        fresh = w.gen == s.gen
        if fresh or not self.on["clear_on_change"]:
            s = s._replace(permits=tuple(p for p in s.permits if p != w.pid))
        if not fresh and self.on["generation"]:
            return s
        if not fresh:  # naive: a late answer counts
            if s.mode == "open" and ok:
                return s._replace(bad="a late success of an older generation closed an open breaker")
            if s.mode in ("half", "closed") and not ok:
                return s._replace(bad="a late failure of an older generation opened the breaker anew")
            return s
        if ok is None:
            return s
        if s.mode == "closed":
            s = s._replace(hard=0 if ok else s.hard + 1)
            return self.change(s, "open") if s.hard >= TRIP else s
        if s.mode == "half":
            if not ok:
                return self.change(s, "open")
            s = s._replace(succ=s.succ + 1)
            return self.change(s, "closed") if s.succ >= CLOSE else s
        return s

    def successors(self, s: B) -> Iterator[tuple[str, str, B]]:
        if s.bad:
            return
        put = lambda st, i, w: st._replace(ws=tuple(sorted(st.ws[:i] + (w,) + st.ws[i + 1 :])))
        for i, w in enumerate(s.ws):
            if i and s.ws[i - 1] == w:
                continue
            if w.ph == "-":
                if s.mode == "closed":
                    yield "begin (closed)", "step", put(s, i, W("r", s.gen, 0))
                elif s.mode == "half" and len(s.permits) < LIMITS[min(s.succ, 2)]:
                    pid = next(k for k in range(1, 9) if k not in s.permits and all(x.pid != k for x in s.ws))
                    s2 = s._replace(permits=tuple(sorted(s.permits + (pid,))))
                    yield f"begin takes permit {pid}", "step", put(s2, i, W("r", s.gen, pid))
                    if s3 := self.take(s, 2):
                        s4 = s3 if self.on["check_then_take"] else s3._replace(permits=s2.permits)
                        yield "begin denied by the budget", "fault", s4
                continue
            yield "reports success", "step", put(self.report(s, w, True), i, IDLE)
            if s2 := self.take(s, 4):
                yield "reports failure", "fault", put(self.report(s2, w, False), i, IDLE)
            if s2 := self.take(s, 3):  # cancelled or lease lost: the call is not ours any more
                s2 = self.report(s2, w, None) if self.on["report_always"] else s2
                yield "call was cancelled, attempt aborted", "fault", put(s2, i, IDLE)
            if s2 := self.take(s, 0):
                yield f"worker killed holding permit {w.pid}", "fault", put(s2, i, IDLE)
            if w.ph == "r" and w.pid and (s2 := self.take(s, 1)):
                yield "worker paused, leases run out", "fault", put(s2, i, w._replace(ph="x"))
        if self.on["permit_lease"]:
            for p in s.permits:
                owner = [w for w in s.ws if w.ph == "r" and w.pid == p]
                if not owner:
                    yield f"permit {p} runs out", "step", s._replace(permits=tuple(x for x in s.permits if x != p))
                elif not self.on["renew_permit"]:
                    yield (
                        f"permit {p} runs out during a long answer",
                        "step",
                        s._replace(permits=tuple(x for x in s.permits if x != p)),
                    )
        if s.mode == "open":
            if not s.prober:
                yield "prober elected", "step", s._replace(prober=1)
            elif s.prober == 1:
                yield "probe works, half-open", "step", self.change(s._replace(prober=0), "half")
                if s2 := self.take(s, 0):
                    yield "prober killed", "fault", s2._replace(prober=2)
        if s.prober == 2 and self.on["prober_lease"]:
            yield "prober's lease runs out", "step", s._replace(prober=0)


def without(rule: str) -> Breaker:
    """The breaker in which that rule is left out; three failures are enough to break each."""
    return Breaker(off=(rule,), failures=3)
