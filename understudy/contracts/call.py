"""A call: its options, its attempts, its outcome."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field

FORMAT_VERSION = 1
"""Of every message and record. A reader takes its own and the one before; see `VersionMismatch`."""

MAX_DEADLINE_S = 86_400.0
"""A day: records outlive their deadline by a day, and no caller waits longer."""

ResultT = TypeVar("ResultT")


class Spend(StrEnum):
    """Whether a call may cost money."""

    NEVER = "never"
    DEFER = "defer"
    ALLOW = "allow"


class Status(StrEnum):
    """How a call ended."""

    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Reason(StrEnum):
    """Why a call failed."""

    DEADLINE = "deadline"
    NO_PROVIDER = "no_provider"
    NO_WORKERS = "no_workers"
    REJECTED = "rejected"
    INVALID = "invalid"
    QUARANTINED = "quarantined"
    CANCELLED = "cancelled"
    BUG = "bug"


class CallOptions(BaseModel):
    """What a caller may say about one call, apart from the request itself."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    deadline_s: Annotated[float, Field(gt=0, le=MAX_DEADLINE_S, strict=True)] | None = None
    spend: Spend | None = None
    local_only: Annotated[bool, Field(strict=True)] = False
    user_id: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    key: Annotated[str, Field(min_length=1, max_length=500)] | None = None


class Usage(BaseModel):
    """Tokens, as the provider reported them; None where it did not."""

    model_config = ConfigDict(frozen=True)

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None


class Attempt(BaseModel):
    """One try of one call at one provider."""

    model_config = ConfigDict(frozen=True)

    provider: str
    model: str = ""
    what: str
    """`answered`, a row of the failure table, `worker_lost`, `waited` or `handed_back`."""
    detail: str = ""
    ms: int = 0
    requests: int = 0
    """How many requests were sent to the provider within this attempt."""


class Outcome(BaseModel, Generic[ResultT]):
    """How a call ended, who answered, and what it took."""

    model_config = ConfigDict(frozen=True)

    call_id: str
    kind: str
    status: Status
    result: ResultT = None  # type: ignore[assignment]
    """The answer; None only in `AnyOutcome`, of a call that ended without one."""
    reason: str | None = None
    detail: str = ""
    provider: str | None = None
    model: str | None = None
    attempts: list[Attempt] = []
    usage: Usage = Usage()
    queued_ms: int = 0
    """From opening to the first begin."""
    total_ms: int = 0
    """From opening to the end."""
    degraded: bool = False
    """The answer was made without a provider."""
    cost_microusd: int = 0


AnyOutcome = Outcome[dict[str, Any] | None]
