"""The mixes of faults under which the whole design is explored, and for each rule one that shows what it is for."""

from __future__ import annotations

from typing import Any

from tests.model.ledger_state import FREE, PAID

W2, W4 = (FREE, PAID), (FREE, FREE, PAID, PAID)
FULL: dict[str, dict[str, Any]] = {
    "crash+loss+dup": dict(workers=W2, budget=dict(crash=2, lose=1, dup=1)),
    "crash x2, fail, 4 workers": dict(workers=W4, budget=dict(crash=2, fail=1)),
    "zombie+crash+fail": dict(workers=W4, budget=dict(pause=1, crash=1, fail=1)),
    "zombie x2 + cut": dict(workers=W4, budget=dict(pause=2, cut=1)),
    "two reconcilers": dict(workers=W2, recs=2, budget=dict(crash=1, lose=1, pause=1, slow=1)),
    "cancel+deadline+pause": dict(workers=W4, budget=dict(cancel=1, deadline=1, pause=1, fail=1)),
    "denials, parks": dict(workers=W2, budget=dict(deny=3, fail=1, slow=1)),
    "denials, crash": dict(workers=W2, budget=dict(deny=2, crash=1)),
    "reply lost": dict(workers=W2, budget=dict(replylost=2, fail=1, pause=1)),
    "money: fail+cut+crash": dict(workers=W4, budget=dict(fail=2, cut=1, crash=1), limit=4),
    "inbox trim, client dies": dict(workers=W2, budget=dict(trim=1, clientcrash=1, crash=1)),
    "redis loses writes": dict(workers=W2, budget=dict(rollback=1, fsync=1, fail=1)),
    "redis loses writes + crash": dict(workers=W2, budget=dict(rollback=1, fsync=1, crash=1)),
    "plain Celery caller": dict(workers=W2, plain=(0,), budget=dict(crash=2, fail=1, deadline=1)),
    "plain + dup + pause": dict(workers=W4, plain=(0,), budget=dict(crash=1, dup=1, pause=1)),
    "everything once": dict(
        workers=W2, recs=1, budget=dict(crash=1, lose=1, dup=1, pause=1, fail=1, cancel=1, deadline=1)
    ),
    "2 calls, backlog": dict(workers=W2, calls=2, budget=dict(slow=2, fail=1)),
    "2 calls, crash+loss": dict(workers=W2, calls=2, budget=dict(crash=1, lose=1)),
    "2 calls, dup+pause": dict(workers=W2, calls=2, budget=dict(dup=1, pause=1)),
    "run again after failures": dict(workers=W2, budget=dict(fail=3, rerun=1, lose=1)),
    "run again after a cancel": dict(workers=W4, budget=dict(cancel=1, rerun=1, pause=1)),
    "run again, two reconcilers": dict(workers=W2, recs=2, budget=dict(cancel=1, deadline=1, rerun=1, crash=1)),
    "run again twice, denied": dict(workers=W2, budget=dict(cancel=1, deny=2, fail=1, rerun=2)),
    "plain, run again": dict(workers=W2, plain=(0,), budget=dict(fail=2, deadline=1, rerun=1, crash=1)),
    "2 calls, 1 unit of budget": dict(workers=W2, calls=2, budget=dict(fail=2), limit=2),
}
NAIVE: dict[str, dict[str, Any]] = {
    "ledger_before_publish": dict(workers=W2, off=("reconciler",), budget=dict(fail=1)),  # must not need the reconciler
    "provider_check": dict(workers=W2, budget=dict(dup=1, fail=1)),
    "evidence": dict(workers=W2, budget=dict()),
    "reuse_message": dict(workers=W2, budget=dict(slow=1, deny=1)),
    "turn_check": dict(workers=W4, recs=2, budget=dict(crash=1)),
    "settle_always": dict(workers=W2, budget=dict(cancel=1, fail=1)),
    "settle_once": dict(workers=W2, budget=dict(replylost=1, fail=1)),
    "reserve_each_request": dict(workers=W2, budget=dict(fail=1, cut=1)),
    "begin_token": dict(workers=W2, off=("reconciler",), budget=dict(replylost=1)),  # must not need the reconciler
    "count_crashes": dict(workers=W2, budget=dict(deny=3, fail=1)),
    "cancel_is_terminal": dict(workers=W2, budget=dict(cancel=1)),
    "inbox_in_commit": dict(workers=W2, off=("client_checks",), budget=dict(crash=1)),
    "client_checks": dict(workers=W2, budget=dict(trim=1)),
    "client_redrives": dict(workers=W2, budget=dict(rollback=1)),
    "unique_epoch": dict(workers=W4, budget=dict(rollback=1, fsync=1)),
    "replay": dict(workers=W2, plain=(0,), off=("told",), budget=dict(crash=1)),
    "told": dict(workers=W2, plain=(0,), budget=dict(crash=1, deadline=1)),
    "keep_canvas": dict(workers=W2, plain=(0,), budget=dict(crash=1)),
    "reconciler": dict(workers=W2, budget=dict(lose=1)),
    "denied_is_parked": dict(workers=W4, budget=dict(fail=2, cut=1, crash=1), limit=4),
    "late_commit": dict(workers=W4, budget=dict(pause=1)),
    "rerun_epoch": dict(workers=W2, budget=dict(cancel=1, rerun=1)),
    "rerun_reuses": dict(workers=W2, budget=dict(cancel=1, rerun=1)),
    "rerun_told": dict(workers=W2, plain=(0,), budget=dict(fail=1, deadline=1, rerun=1, crash=1)),
}

# Those with more than 40,000 states: seconds to minutes each.
LARGE = (
    "crash+loss+dup",
    "crash x2, fail, 4 workers",
    "two reconcilers",
    "plain Celery caller",
    "everything once",
    "run again, two reconcilers",
    "plain, run again",
    "2 calls, backlog",
    "2 calls, crash+loss",
)
