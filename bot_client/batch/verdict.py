"""What became of one row: its verdict and who gave it, or the error that took its place."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from understudy.contracts.moderation import ModerationResult

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bot_client.batch.row import Row, RowId
    from understudy.contracts.call import Outcome
    from understudy.errors import CallError

ASKED, SAME_TEXT, CACHED = "asked", "same_text", "cache"
"""Where an answer comes from."""

NEEDS_REVIEW = "needs_review"


@dataclass(frozen=True)
class Verdict:
    """One row's end.

    Args:
        id: of the row.
        result: what was found; None where there is an error.
        error: its cause, such as `deadline` or `invalid`; empty where there is a result.
        detail: one sentence about the error.
        attempts: how many it took.
        cost_microusd: what this row added to the cost: nothing where its answer was there already.
        ms: from opening the call to its end.
        at: when it came, UTC.
        source: `asked`, `same_text` (answered with another row) or `cache` (by an earlier job).
    """

    id: RowId
    result: ModerationResult | None = None
    provider: str | None = None
    model: str | None = None
    attempts: int = 0
    cost_microusd: int = 0
    ms: int = 0
    error: str = ""
    detail: str = ""
    source: str = ASKED
    call_id: str = ""
    at: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="milliseconds"), compare=False)

    @property
    def verdict(self) -> str:
        """`none`, `warn`, `delete` or `needs_review`; empty where there is an error."""
        if self.result is None:
            return ""
        return NEEDS_REVIEW if self.result.needs_review else self.result.action.value

    def line(self) -> str:
        """Its line of an output file, without the end of line."""
        row: dict[str, Any] = {"id": self.id}
        if self.result is None:
            row["error"] = {"cause": self.error, "detail": self.detail}
        else:
            row["verdict"] = self.verdict
            row |= self.result.model_dump(mode="json", exclude={"needs_review"})
        row |= {
            "provider": self.provider,
            "model": self.model,
            "attempts": self.attempts,
            "cost_microusd": self.cost_microusd,
            "ms": self.ms,
            "at": self.at,
            "source": self.source,
        }
        return json.dumps(row, ensure_ascii=False, separators=(",", ":"))


def verdict_of(row: Row, outcome: Outcome[ModerationResult]) -> Verdict:
    """The verdict of an outcome."""
    return Verdict(
        id=row.id,
        result=outcome.result,
        provider=outcome.provider,
        model=outcome.model,
        attempts=len(outcome.attempts),
        cost_microusd=outcome.cost_microusd,
        ms=outcome.total_ms,
        call_id=outcome.call_id,
    )


def failed_verdict(row: Row, error: CallError) -> Verdict:
    """The end of a row whose call ended without an answer."""
    outcome = error.outcome or {}
    return Verdict(
        id=row.id,
        attempts=len(error.attempts),
        cost_microusd=int(outcome.get("cost_microusd") or 0),
        ms=int(outcome.get("total_ms") or 0),
        error=str(outcome.get("reason") or "deadline"),
        detail=str(error),
        call_id=error.call_id,
    )


def read_verdict(line: Mapping[str, Any]) -> Verdict | None:
    """The verdict in a line of an output; None where it holds an error."""
    if "verdict" not in line:
        return None
    fields = {name: line[name] for name in ModerationResult.model_fields if name in line}
    result = ModerationResult(**fields, needs_review=line["verdict"] == NEEDS_REVIEW)
    return Verdict(line["id"], result, line["provider"], line["model"])
