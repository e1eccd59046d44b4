"""What a row of the failure table tells the breaker: pure."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

from understudy.contracts.call import Reason
from understudy.state.health import JITTER
from workers.failures import BACKOFF_S, Health, Next, ProviderFailure, Row

if TYPE_CHECKING:
    from understudy.providers import Provider

QUOTA_OPEN_MS = 15 * 60_000
ALERT_OPEN_MS = 5 * 60_000
"""A human must mend it; every five minutes one call finds out whether somebody has."""

PAUSE_MS = int(BACKOFF_S / 2 * 1000)
"""A rate limit that names no time: the queue rests for the shortest backoff of the table, so that whoever met the limit
finds it open when asking again."""


def verdict_of(failure: ProviderFailure, provider: Provider) -> dict[str, Any]:
    """The fields of a `Report` that a failure decides."""
    row = failure.row
    retry_after_ms = None if failure.retry_after_s is None else int(failure.retry_after_s * 1000)
    if row.health is Health.HARD:
        jitter = random.uniform(1 - JITTER, 1 + JITTER)
        return {"verdict": "hard", "why": row.name, "jitter": jitter, "retry_after_ms": retry_after_ms}
    if row.health is Health.PAUSE:
        queues = [provider.queue, provider.batch_queue]
        pause_ms = PAUSE_MS if retry_after_ms is None else retry_after_ms
        return {"verdict": "none", "why": row.name, "pause_ms": pause_ms, "queues": queues}
    if row.health is Health.OPEN:
        return {"verdict": "open", "why": row.name}
    if row.health is Health.OPEN_15_MIN:
        return {"verdict": "open", "why": row.name, "open_ms": QUOTA_OPEN_MS, "retry_after_ms": retry_after_ms}
    if row.health is Health.OPEN_ALERT:
        return {"verdict": "open", "why": row.name, "open_ms": ALERT_OPEN_MS}
    return {"verdict": "quality" if row.health is Health.QUALITY else "none"}


def reason_of(row: Row) -> Reason | None:
    """Why the call fails with this row; None where another provider may answer it."""
    if row.next is not Next.NONE:
        return None
    return {"caller_deadline": Reason.DEADLINE, "bug": Reason.BUG}.get(row.name, Reason.REJECTED)
