"""A call: its options, its attempts, its outcome."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field

FORMAT_VERSION = 1
"""Of every message and record. A reader takes its own and the one before; see `VersionMismatch`."""

MAX_DEADLINE_S = 86_400.0
"""A day: records outlive their deadline by a day, and no caller waits longer."""

MAX_COST_MICROUSD = 1_000_000_000
"""A thousand dollars: no single call costs more."""

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
    BUDGET = "budget"


class CallOptions(BaseModel):
    """What a caller may say about one call, apart from the request itself."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    deadline_s: Annotated[float, Field(gt=0, le=MAX_DEADLINE_S, strict=True)] | None = None
    spend: Spend | None = None
    local_only: Annotated[bool, Field(strict=True)] = False
    user_id: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    chat_id: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    """The group it is for, so that spend can be told apart by it."""
    key: Annotated[str, Field(min_length=1, max_length=500)] | None = None
    only: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    """The name of the one provider that may answer."""
    stream: Annotated[bool, Field(strict=True)] = False
    """Whether the client is told of what happens before the end."""
    job: Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[A-Za-z0-9._-]+$")] | None = None
    """The batch job that it is a row of: it takes the batch queues and counts against the job's budget."""
    max_cost_microusd: Annotated[int, Field(ge=0, le=MAX_COST_MICROUSD, strict=True)] | None = None
    """What the call may cost in all; a paid request that could cost more is not made."""

    @property
    def spend_policy(self) -> Spend:
        """Whether it may cost money: as said, else a batch row defers and any other call may."""
        return self.spend or (Spend.ALLOW if self.job is None else Spend.DEFER)


class Usage(BaseModel):
    """Tokens, as the provider reported them; None where it did not."""

    model_config = ConfigDict(frozen=True)

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    cached_tokens: int | None = None
    """Of the prompt: what the provider had in its cache."""
    cache_write_tokens: int | None = None
    """Of the prompt: what the provider put into its cache."""
    reasoning_tokens: int | None = None
    """Of the completion: what was thought and not said."""

    @property
    def complete(self) -> bool:
        """Whether it tells what the request cost."""
        return self.prompt_tokens is not None and self.completion_tokens is not None


class Attempt(BaseModel):
    """One try of one call at one provider."""

    model_config = ConfigDict(frozen=True)

    provider: str
    model: str = ""
    what: str
    """`answered`, a row of the failure table, `worker_lost`, `waited` or `handed_back`."""
    detail: str = ""
    at_ms: int = 0
    """When it began, in Redis milliseconds; 0 where that is not known."""
    ms: int = 0
    requests: int = 0
    """How many requests were sent to the provider within this attempt."""
    cost_microusd: int = 0
    """Charged for it; of a request whose usage is unknown, the most that it can have cost."""


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
    """Of all attempts together, those that failed included."""


AnyOutcome = Outcome[dict[str, Any] | None]
