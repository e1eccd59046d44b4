"""What a worker was granted when it began a call."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from understudy.contracts.call import Attempt, CallOptions
from understudy.contracts.tools import needs_tools
from understudy.moves import narrowed
from understudy.routing import Policy, timed_as
from understudy.state.record import check_version, read_attempts
from understudy.state.report import Report
from understudy.tracing import OFF, Span
from workers.money import Bill

if TYPE_CHECKING:
    from collections.abc import Sequence

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
    steps: tuple[str, ...] = ()
    """What tools did in earlier attempts; see `understudy.state.transcript`."""
    inboxes: tuple[str, ...] = ()
    """Of the clients that are told what happens."""
    n: int = 0
    """Of the latest event they were told."""
    requests: int = 0
    """Sent to the provider within this attempt."""
    bill: Bill = field(default_factory=Bill)
    """What they cost."""
    at: float = field(default_factory=time.monotonic)
    span: Span = OFF
    """Of this attempt, where it is traced."""

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
            steps=reply.texts("steps"),
            inboxes=tuple(reply.text("inboxes").split()),
            bill=Bill(arrival.provider.price, reply.number("reserved")),
            at=at,
        )

    @property
    def streams(self) -> bool:
        """Whether somebody is told what happens before the end."""
        return self.options.stream and bool(self.inboxes)

    @property
    def batch(self) -> bool:
        """Whether it is a batch's row."""
        return self.queue.endswith(".batch")

    def policy(self, providers: Sequence[Provider]) -> Policy:
        """What the call allows, after what its earlier attempts have shown."""
        policy = Policy(
            kind=self.kind,
            spend=self.options.spend_policy,
            local_only=self.options.local_only,
            only=self.options.only,
            batch=self.batch,
            total_ms=self.deadline - self.created,
            needs_tools=needs_tools(self.request),
        )
        return narrowed(policy, self.earlier, providers)

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
            at_ms=self.now,
            ms=self.ms(),
            requests=self.requests,
            cost_microusd=self.bill.total,
        )

    def granted(self, reply: Reply) -> None:
        """One more request may be sent, under the id that the reply names."""
        self.rid, self.gen = reply.text("rid"), reply.number("gen")
        self.bill.next(reply.number("reserved"))

    def report(self, verdict: str = "none", **more: object) -> Report:
        """What the latest request told about its provider."""
        return Report(
            self.provider.name,
            self.provider.model,
            self.rid,
            self.gen,
            verdict,
            timed_as(self.kind, batch=self.batch),
            cost_microusd=self.bill.settled,
            **more,  # type: ignore[arg-type]
        )
