"""Outcomes as workers and reconcilers put them together."""

from __future__ import annotations

import json

from understudy.contracts import KINDS
from understudy.contracts.call import AnyOutcome, Attempt, Reason, Status


def failed_outcome(
    *,
    call_id: str,
    kind: str,
    request: str,
    reason: Reason,
    attempts: list[Attempt],
    queued_ms: int,
    total_ms: int,
    detail: str = "",
) -> AnyOutcome:
    """How a call ends that no provider answered: failed, or with the degraded answer of its kind, marked as such.

    Args:
        request: as the ledger holds it, JSON.
        detail: one sentence, without anything a user wrote.
    """
    outcome = AnyOutcome(
        call_id=call_id,
        kind=kind,
        status=Status.FAILED,
        reason=reason,
        detail=detail,
        attempts=attempts,
        cost_microusd=sum(attempt.cost_microusd for attempt in attempts),
        queued_ms=queued_ms,
        total_ms=total_ms,
    )
    known = KINDS.get(kind)
    if known is None or known.degraded is None or reason in (Reason.INVALID, Reason.CANCELLED):
        return outcome
    try:
        result = known.degraded(known.request.model_validate(json.loads(request)))
    except Exception:  # noqa: BLE001 - a call must be able to end, whatever its request looks like to this version
        return outcome
    return outcome.model_copy(
        update={"status": Status.DONE, "result": result.model_dump(mode="json"), "degraded": True}
    )
