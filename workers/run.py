"""What a worker was granted when it began a call."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from understudy.contracts.call import Attempt, CallOptions
from understudy.state.record import check_version, read_attempts
from understudy.state.report import Report

if TYPE_CHECKING:
    from understudy.providers import Provider
    from understudy.state.ledger import Reply
    from workers.arrival import Arrival


@dataclass
class Run:
    """One attempt that is under way; Redis times in milliseconds, `at` is the monotonic moment of `now`."""

    call_id: str
    kind: str
    provider: Provider
    queue: str
    token: str
    epoch: int
    turn: int
    rid: str
    gen: int
    request: str
    options: CallOptions
    now: int
    deadline: int
    created: int
    first: int
    earlier: tuple[Attempt, ...]
    tried: frozenset[str]
    plain: bool
    """Whether Celery is to hear of the end from here."""
    task: str | None = None
    """Celery's id of the message, where its call has a key."""
    requests: int = 0
    """Sent to the provider within this attempt."""
    at: float = field(default_factory=time.monotonic)

    @classmethod
    def of(cls, arrival: Arrival, reply: Reply, at: float) -> Run:
        """Read the reply of `begin`.

        Args:
            at: when `begin` was sent, by the monotonic clock: deadlines judged by it come early, never late.

        Raises:
            VersionMismatch: the record has a format that this version does not know.
        """
        check_version(reply.text("v"), f"The record of call {arrival.call_id}")
        return cls(
            call_id=arrival.call_id,
            kind=reply.text("kind"),
            provider=arrival.provider,
            queue=arrival.queue,
            token=arrival.token,
            epoch=reply.number("epoch"),
            turn=reply.number("turn"),
            rid=reply.text("rid"),
            gen=reply.number("gen"),
            request=reply.text("request"),
            options=CallOptions.model_validate_json(reply.text("opts") or "{}"),
            now=reply.number("now"),
            deadline=reply.number("deadline"),
            created=reply.number("created"),
            first=reply.number("first"),
            earlier=read_attempts(reply.text("attempts")),
            tried=frozenset(reply.text("tried").split()),
            plain=reply.text("plain") == "1" or arrival.task is not None,
            task=arrival.task,
            at=at,
        )

    @property
    def batch(self) -> bool:
        """Whether it is a batch's row."""
        return self.queue.endswith(".batch")

    def ms(self) -> int:
        """How long the attempt has lasted."""
        return round((time.monotonic() - self.at) * 1000)

    def left_s(self) -> float:
        """What is left until the call's deadline."""
        return (self.deadline - self.now) / 1000 - (time.monotonic() - self.at)

    def total_ms(self) -> int:
        """Since the call was opened."""
        return max(0, self.now - self.created) + self.ms()

    def queued_ms(self) -> int:
        """From opening to the first begin."""
        return max(0, self.first - self.created)

    def attempt(self, what: str, detail: str = "") -> Attempt:
        """The row of this attempt."""
        return Attempt(
            provider=self.provider.name,
            model=self.provider.model,
            what=what,
            detail=detail,
            ms=self.ms(),
            requests=self.requests,
        )

    def report(self, verdict: str = "none", **more: object) -> Report:
        """What the latest request told about its provider."""
        return Report(
            self.provider.name,
            self.provider.model,
            self.rid,
            self.gen,
            verdict,
            self.kind,
            **more,  # type: ignore[arg-type]
        )
