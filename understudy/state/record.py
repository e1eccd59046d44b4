"""The record of one call, as the ledger holds it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from understudy.contracts.call import FORMAT_VERSION, AnyOutcome, Attempt, CallOptions, Reason, Status
from understudy.errors import VersionMismatch

if TYPE_CHECKING:
    from collections.abc import Mapping

QUEUED, PARKED, RUNNING, DONE, FAILED, CANCELLED = "Q", "P", "R", "D", "F", "X"
STATES = {
    QUEUED: "queued",
    PARKED: "parked",
    RUNNING: "running",
    DONE: "done",
    FAILED: "failed",
    CANCELLED: "cancelled",
}


@dataclass(frozen=True)
class Record:
    """One call in the ledger; all times are Redis milliseconds."""

    id: str
    state: str
    kind: str
    request: str
    options: CallOptions
    deadline: int
    created: int
    provider: str
    queue: str
    epoch: int = 0
    turn: int = 0
    sent: int = 0
    lease: int = 0
    tried: frozenset[str] = frozenset()
    left: frozenset[str] = frozenset()
    not_before: Mapping[str, int] = field(default_factory=dict)
    attempts: tuple[Attempt, ...] = ()
    earlier: tuple[Attempt, ...] = ()
    """The attempts of runs before this one: the call failed then, and an operator had it run again."""
    runs: int = 0
    """How often an operator did."""
    crashes: int = 0
    requests: int = 0
    base: int = 0
    turn_base: int = 0
    """Requests before the model turn that is under way: the cap is for each turn."""
    rounds: int = 0
    looks: int = 0
    forced: int = 0
    plain: bool = False
    told: bool = False
    canvas: str = ""
    waiters: frozenset[str] = frozenset()
    """Tasks of Celery that share the call by its key and have no outcome."""
    begun: int = 0
    first: int = 0
    ended: int = 0
    reason: str = ""
    outcome: str = ""
    worker: str = ""
    steps: tuple[str, ...] = ()
    """What its tools have done so far; see `understudy.state.transcript`."""
    denied_why: str = ""
    """Why a provider was denied to it last: `paused`, `budget`, or why its breaker is open."""
    trace: str = ""
    """Its `traceparent`, where it is traced."""
    short: str = ""
    """The budget that last denied it a paid provider."""
    charges: Mapping[str, int] = field(default_factory=dict)
    """By request: what it was charged, in micro-dollars; also of those that failed, and whose worker died."""

    def charged_since(self, requests: int) -> int:
        """What its requests after the first so many were charged."""
        return sum(amount for rid, amount in self.charges.items() if int(rid.rpartition("-")[2]) > requests)

    @property
    def has_ended(self) -> bool:
        """Whether the call is in a terminal state."""
        return self.state in (DONE, FAILED, CANCELLED)

    @property
    def batch(self) -> bool:
        """Whether the call is a batch's row."""
        return self.queue.endswith(".batch")

    @classmethod
    def read(cls, call_id: str, raw: Mapping[str, str]) -> Record:
        """Read a record's hash.

        Raises:
            VersionMismatch: it was written by a version whose format this one does not know.
        """
        check_version(raw.get("v"), f"The record of call {call_id}")

        def number(name: str) -> int:
            return int(float(raw.get(name) or 0))

        return cls(
            id=call_id,
            state=raw["st"],
            kind=raw["kind"],
            request=raw["request"],
            options=CallOptions.model_validate_json(raw.get("opts") or "{}"),
            deadline=number("deadline"),
            created=number("created"),
            provider=raw.get("prov", ""),
            queue=raw.get("queue", ""),
            epoch=number("epoch"),
            turn=number("turn"),
            sent=number("sent"),
            lease=number("lease"),
            tried=frozenset(raw.get("tried", "").split()),
            left=frozenset(raw.get("left", "").split()),
            not_before={name[3:]: int(float(value)) for name, value in raw.items() if name.startswith("nb:")},
            attempts=read_attempts(raw.get("attempts", "")),
            earlier=read_attempts(raw.get("earlier", "")),
            runs=number("runs"),
            crashes=number("crashes"),
            requests=number("requests"),
            base=number("base"),
            turn_base=number("turn_base"),
            rounds=number("rounds"),
            looks=number("looks"),
            forced=number("forced"),
            plain=raw.get("plain") == "1",
            told=raw.get("told") == "1",
            canvas=raw.get("canvas", ""),
            waiters=frozenset(name[7:] for name in raw if name.startswith("waiter:")),
            begun=number("begun"),
            first=number("first"),
            ended=number("ended"),
            reason=raw.get("reason", ""),
            outcome=raw.get("outcome", ""),
            worker=raw.get("worker", ""),
            denied_why=raw.get("denied_why", ""),
            trace=raw.get("trace", ""),
            short=raw.get("short", ""),
            charges={
                name.partition(":")[2]: int(float(value.split()[0]))
                for name, value in raw.items()
                if name.startswith(("rsv:", "paid:"))
            },
            steps=tuple(raw[f"step:{n}"] for n in range(1, number("steps") + 1)),
        )

    def parsed_outcome(self) -> AnyOutcome:
        """How the call ended; put together from the record where a script ended it."""
        if self.outcome:
            return AnyOutcome.model_validate_json(self.outcome)
        status = {DONE: Status.DONE, CANCELLED: Status.CANCELLED}.get(self.state, Status.FAILED)
        return AnyOutcome(
            call_id=self.id,
            kind=self.kind,
            status=status,
            reason=self.reason or Reason.NO_PROVIDER,
            attempts=list(self.attempts),
            cost_microusd=sum(attempt.cost_microusd for attempt in self.attempts),
            queued_ms=max(0, (self.first or self.ended) - self.created),
            total_ms=max(0, self.ended - self.created),
        )


def read_attempts(rows: str) -> tuple[Attempt, ...]:
    """The attempts of a record: one JSON object a line."""
    return tuple(Attempt.model_validate(json.loads(row)) for row in rows.split("\n") if row)


def check_version(version: Any, what: str) -> None:
    """Refuse a format that is neither ours nor the one before it.

    Raises:
        VersionMismatch: with what was found and what can be read.
    """
    try:
        found = int(version)
    except (TypeError, ValueError):
        found = -1
    if not FORMAT_VERSION - 1 <= found <= FORMAT_VERSION:
        readable = f"{FORMAT_VERSION - 1} and {FORMAT_VERSION}"
        shown = found if found >= 0 else "unknown"
        raise VersionMismatch(f"{what} has format {shown}; this version reads {readable}: update the older side.")
