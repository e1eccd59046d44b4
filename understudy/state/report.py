"""What a request tells about its provider."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True)
class Report:
    """What one request told about its provider's health; `verdict` is ok, hard, quality, open or none."""

    provider: str
    model: str
    rid: str
    gen: int
    verdict: str
    kind: str
    ms: int | None = None
    first_ms: int | None = None
    """Until its answer began."""
    slow: bool | None = None
    why: str | None = None
    jitter: float | None = None
    retry_after_ms: int | None = None
    open_ms: int | None = None
    pause_ms: int | None = None
    queues: Sequence[str] | None = None
    cost_microusd: int | None = None
    """What the request cost; None where nobody knows, or nothing was reserved for it."""

    def fields(self, call_id: str) -> dict[str, Any]:
        """As the scripts read it; permits are kept under the call's id and the request's."""
        given = {name: value for name, value in asdict(self).items() if value is not None}
        return {**given, "rid": f"{call_id}:{self.rid}"}
