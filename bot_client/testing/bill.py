"""What the calls of a test cost, as the totals of the real ledger tell it."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from understudy.state.spend import report_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from datetime import date

    from bot_client.testing.entry import RecordedCall
    from understudy.state.spend import By, SpendReport


def bill_of(
    calls: Iterable[RecordedCall], paid: Collection[str], *, by: By, span: tuple[date, date], today: date
) -> SpendReport:
    """The report on calls that were all made today.

    Args:
        paid: the names of the paid providers.
        span: the first and the last day of the report.
    """
    totals = Counter[str]()
    for call in calls:
        outcome = call.outcome
        attempts = [attempt for attempt in outcome.attempts if attempt.provider in paid] if outcome else []
        if outcome is None or not attempts:
            continue
        parts = {
            "kind": call.kind,
            "model": attempts[-1].model,
            "provider": attempts[-1].provider,
            "user": call.options.user_id,
            "job": getattr(call.options, "job", None),
            "chat": getattr(call.options, "chat_id", None),
            "hour": "00",
        }
        fields = ["total", *(f"{part}:{name}" for part, name in parts.items() if name)]
        for field in fields:
            totals[field] += outcome.cost_microusd
            totals[f"n:{field}"] += sum(attempt.requests for attempt in attempts)
    within = span[0] <= today <= span[1]
    day = today.replace(day=1) if by == "month" else today
    return report_of(by, span, [(day, dict(totals))] if within and totals else [])
