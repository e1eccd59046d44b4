"""One call of the client in memory."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bot_client.policy import deadline_ms
from bot_client.testing.script import Plan
from understudy.contracts.call import AnyOutcome, Reason, Status
from understudy.contracts.kind import request_hash

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pydantic import BaseModel

    from bot_client.call import End
    from bot_client.testing.telling import Telling
    from understudy.contracts.call import CallOptions
    from understudy.contracts.kind import Kind


@dataclass
class RecordedCall:
    """A call that the code under test made.

    Args:
        request: as it passed its contract.
        outcome: how it ended; None while it is open.
    """

    id: str
    kind: str
    request: BaseModel
    options: CallOptions
    outcome: AnyOutcome | None = None


class Entry:
    """A recorded call with what is to become of it.

    Args:
        order: gives the providers that may answer it, the first one first.
        now_s: the test's own time.
    """

    def __init__(
        self, call: RecordedCall, kind: Kind, plan: Plan, order: Callable[[], Sequence[str]], now_s: float
    ) -> None:
        self.call = call
        self.kind = kind
        self.plan = plan
        self.order = order
        self.rhash = request_hash(kind.name, call.request)
        self.holders = 0
        self.due_s = now_s + plan.delay_s
        self.deadline_s = now_s + deadline_ms(kind, call.options) / 1000
        self.telling: Telling | None = None
        """What it says to those who stream it."""
        self._ended: asyncio.Future[End] | None = None

    @property
    def held(self) -> bool:
        """Whether it is open until it is released."""
        return self.plan.held

    def ended(self) -> asyncio.Future[End]:
        """What those who wait are given."""
        if self._ended is None:
            self._ended = asyncio.get_running_loop().create_future()
            if self.call.outcome is not None:
                self._ended.set_result(self.call.outcome)
        return self._ended

    def settle(self, now_s: float) -> None:
        """End it if its time has come: its answer's, or its deadline's."""
        if self.call.outcome is not None:
            return
        if not self.held and self.due_s <= min(now_s, self.deadline_s):
            self._end(self._outcome(self.plan))
        elif self.deadline_s <= now_s:
            late = Plan(self.kind.degraded, reason=Reason.DEADLINE, degraded=True)
            total_ms = deadline_ms(self.kind, self.call.options)
            self._end(self._outcome(late).model_copy(update={"queued_ms": total_ms, "total_ms": total_ms}))

    def cancel(self) -> None:
        """End it as cancelled."""
        self._end(
            AnyOutcome(call_id=self.call.id, kind=self.kind.name, status=Status.CANCELLED, reason=Reason.CANCELLED)
        )

    def let_go(self, why: End) -> None:
        """Those who wait hear no more; the call itself goes on."""
        if self._ended is not None and not self._ended.done():
            self._ended.set_result(why)
        self._ended, self.holders = None, 0

    def _outcome(self, plan: Plan) -> AnyOutcome:
        return plan.outcome(self.call.id, self.kind, self.call.request, self.order())

    def _end(self, outcome: AnyOutcome) -> None:
        self.call.outcome = outcome
        if self.telling is not None:
            self.telling.end(outcome)
        if self._ended is not None and not self._ended.done():
            self._ended.set_result(outcome)
