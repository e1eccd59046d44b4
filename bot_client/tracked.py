"""One call that this process waits for."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from bot_client.order import Order

if TYPE_CHECKING:
    from bot_client.call import End
    from bot_client.feed import Feed
    from bot_client.inbox import Event
    from understudy.contracts.kind import Kind
    from understudy.routing import Policy
    from understudy.state.ledger import NewCall

SILENT_S = 5.0
"""A call ends by its deadline and this; if nothing was heard by then, its outcome is unknown."""


class Tracked:
    """A call of this process: who waits, until when, and what was read of it.

    Args:
        call_id: of the call.
    """

    def __init__(self, call_id: str) -> None:
        self.id = call_id
        self.ended: asyncio.Future[End] = asyncio.get_running_loop().create_future()
        self.order = Order()
        self.feed: Feed | None = None
        """What it says before its end, where somebody streams it."""
        self.held_at = time.monotonic()
        self.holders = 0
        """Those who wait, or may: when the last one was cancelled, so is the call."""
        self.known = False
        """The ledger has confirmed it."""
        self.early: list[Event] = []
        """What came before that."""
        self.kind: Kind
        self.new: NewCall
        """To open it again where Redis has lost it; its deadline is absolute."""
        self.policy: Policy
        self.deadline_at = 0.0
        """By this process's monotonic clock."""
        self.timer: asyncio.TimerHandle | None = None

    def confirm(self, kind: Kind, new: NewCall, policy: Policy, *, left_ms: int, floor: int) -> list[Event]:
        """Note what the ledger said of it; returns the events that came early."""
        self.kind, self.new, self.policy = kind, new, policy
        self.deadline_at = time.monotonic() + left_ms / 1000
        self.order.floor = max(self.order.floor, floor)
        self.known = True
        early, self.early = self.early, []
        return early

    @property
    def is_late(self) -> bool:
        """Whether its deadline has passed."""
        return self.known and time.monotonic() >= self.deadline_at

    def end(self, end: End) -> None:
        """Tell those who wait; the first end counts."""
        self.order.ended = True
        if self.timer:
            self.timer.cancel()
        if not self.ended.done():
            self.ended.set_result(end)
        if self.feed is not None:
            self.feed.close()
