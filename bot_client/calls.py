"""The calls that this process waits for, held against the ledger."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from pydantic import ValidationError
from redis.exceptions import RedisError

from bot_client.call import conflict, end_of
from bot_client.feed import Feed
from bot_client.order import Reading
from bot_client.publisher import Message
from bot_client.tracked import SILENT_S, Tracked
from understudy.contracts.call import AnyOutcome
from understudy.errors import DeadlineExceeded, Unavailable, VersionMismatch
from understudy.state.record import CANCELLED, DONE, FAILED, check_version

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from bot_client.call import End
    from bot_client.inbox import Event, Inbox
    from bot_client.metrics import ClientMetrics
    from bot_client.opener import Opener
    from understudy.contracts.kind import Kind
    from understudy.routing import Policy
    from understudy.state.ledger import Ledger, NewCall, Reply

    T = TypeVar("T")

logger = logging.getLogger("understudy.client")

LOOK_S = 5.0
TICK_S = 1.0
"""Calls whose deadline has passed are looked at this often, and what could not be cancelled is tried again."""

PER_LOOK, PER_READ = 100, 20
"""Of one round trip: states, whole records."""

ABANDONED_S = 30.0
"""For so long a call that nobody waits for, and that may have been opened all the same, is tried to be cancelled."""


class Calls:
    """Knows the open calls, ends them when the inbox or the ledger says so, and opens again what Redis has lost.

    Args:
        client_id: names this process's inbox.
        publish: takes a message for the broker.
        metrics: counts them.
    """

    inbox: Inbox
    """Rewound where Redis has lost it."""

    def __init__(
        self,
        ledger: Ledger,
        client_id: str,
        opener: Opener,
        publish: Callable[[Message], None],
        metrics: ClientMetrics | None = None,
    ) -> None:
        self._ledger = ledger
        self._client_id = client_id
        self._opener = opener
        self._publish = publish
        self._metrics = metrics
        self._open: dict[str, Tracked] = {}
        self._soon: set[Tracked] = set()
        self._abandoned: dict[str, float] = {}
        self._wake = asyncio.Event()
        self._all = False

    def __len__(self) -> int:
        return len(self._open)

    def get(self, call_id: str) -> Tracked | None:
        """The call, if this process waits for it."""
        return self._open.get(call_id)

    def hold(self, call_id: str, *, stream: bool = False) -> Tracked:
        """Wait for a call, before it is opened: its first event may come before the reply.

        Args:
            stream: keep what it says before its end.
        """
        tracked = self._open.get(call_id)
        if tracked is None:
            tracked = self._open[call_id] = Tracked(call_id)
            if self._metrics:
                self._metrics.held()
        if stream and tracked.feed is None:
            tracked.feed = Feed()
        tracked.holders += 1
        return tracked

    def release(self, tracked: Tracked) -> bool:
        """One who waited does no more; whether nobody is left."""
        tracked.holders -= 1
        if tracked.holders <= 0 and not tracked.known:
            self._forget(tracked)
        return tracked.holders <= 0

    def opened(self, tracked: Tracked, kind: Kind, new: NewCall, policy: Policy, reply: Reply) -> None:
        """The ledger has opened it, or had it: publish its message where the reply says so."""
        if reply.word == "done":
            self.known(tracked, kind, new, policy, left_ms=0, floor=0)
            self.look_soon(tracked)
            return
        new = replace(new, deadline=reply.number("deadline"), deadline_ms=None)
        floor = 0
        if reply.word == "publish":
            floor = reply.number("sent")
            self._publish(Message(new.kind, new.id, reply.text("queue"), floor, new.trace or ""))
        self.known(tracked, kind, new, policy, left_ms=reply.number("deadline") - reply.number("now"), floor=floor)

    def known(self, tracked: Tracked, kind: Kind, new: NewCall, policy: Policy, *, left_ms: int, floor: int) -> None:
        """The ledger has it: from now on its events count, and it ends by its deadline and some."""
        if tracked.ended.done():
            return
        early = tracked.confirm(kind, new, policy, left_ms=left_ms, floor=floor)
        if tracked.timer:
            tracked.timer.cancel()
        loop = asyncio.get_running_loop()
        tracked.timer = loop.call_later(max(0, left_ms) / 1000 + SILENT_S, self._silent, tracked)
        for event in early:
            self.deliver(event)

    def deliver(self, event: Event) -> None:
        """Take an event from the inbox."""
        tracked = self._open.get(event.call_id)
        if tracked is None:
            return
        if not tracked.known:
            tracked.early.append(event)
            return
        reading = tracked.order.read(event)
        if reading is Reading.END:
            try:
                self.end(tracked, AnyOutcome.model_validate_json(event.data))
            except ValidationError:  # written by another version; the record says more about it
                tracked.order.ended, reading = False, Reading.LOOK
        if reading is Reading.LOOK:
            self.look_soon(tracked)
        elif tracked.feed is not None:
            tracked.feed.take(event, reading)

    def end(self, tracked: Tracked, end: End) -> None:
        """End a call for this process."""
        self._forget(tracked)
        if self._metrics and tracked.known and not tracked.ended.done():
            self._metrics.ended(tracked, end)
        tracked.end(end)

    def abandon(self, call_id: str) -> None:
        """Cancel a call as soon as Redis answers again, should it have been opened."""
        self._abandoned[call_id] = asyncio.get_running_loop().time() + ABANDONED_S
        self._wake.set()

    def look_soon(self, tracked: Tracked) -> None:
        """Look at one call at once."""
        self._soon.add(tracked)
        self._wake.set()

    def look_at_all(self) -> None:
        """Look at every open call at once: events may have been missed."""
        self._all = True
        self._wake.set()

    async def watch(self) -> None:
        """Look at the open calls until cancelled: all every `LOOK_S`, some sooner."""
        loop = asyncio.get_running_loop()
        looked_at = loop.time()
        while True:
            if not self._wake.is_set():
                try:
                    async with asyncio.timeout(TICK_S):
                        await self._wake.wait()
                except TimeoutError:
                    pass
            self._wake.clear()
            everything = self._all or loop.time() - looked_at >= LOOK_S
            if everything:
                self._all, looked_at = False, loop.time()
            try:
                await self._cancel_abandoned()
                await self.look([t for t in self._open.values() if everything or t in self._soon or t.is_late])
            except (RedisError, OSError) as error:
                logger.debug("look_failed calls=%d error=%s", len(self._open), type(error).__name__)
            except Exception as error:  # noqa: BLE001 - one record that cannot be read must not end the watch
                logger.error("look_failed calls=%d error=%s", len(self._open), type(error).__name__)

    async def look(self, calls: Sequence[Tracked]) -> None:
        """Hold calls against the ledger: ended, they end here; missing, they are opened again."""
        keys = self._ledger.keys
        for some in _chunks([t for t in calls if t.known], PER_LOOK):
            async with self._ledger.redis.pipeline(transaction=False) as pipe:
                for tracked in some:
                    pipe.hmget(keys.call(tracked.id), ["v", "st"])
                pipe.exists(keys.inbox(self._client_id))
                *rows, present = await pipe.execute()
            if not present:
                self.inbox.rewind()
            states = dict(zip(some, rows, strict=True))
            over = [t for t, (version, state) in states.items() if state in _OVER and self._can_read(t, version)]
            for few in _chunks(over, PER_READ):
                for tracked, record in zip(few, await self._ledger.records([t.id for t in few]), strict=True):
                    if record is not None and record.has_ended:
                        self.end(tracked, end_of(record))
            await asyncio.gather(*(self._open_again(t) for t, (_, state) in states.items() if state is None))
            self._soon.difference_update(some)

    def close(self, why: str) -> None:
        """Tell all who still wait that this client hears no more."""
        for tracked in list(self._open.values()):
            self.end(tracked, Unavailable(f"Call {tracked.id} goes on, but {why}: get it again by its id."))

    def _forget(self, tracked: Tracked) -> None:
        self._soon.discard(tracked)
        if self._open.get(tracked.id) is tracked:
            del self._open[tracked.id]
            if self._metrics:
                self._metrics.forgotten()

    def _can_read(self, tracked: Tracked, version: str | None) -> bool:
        try:
            check_version(version, f"The record of call {tracked.id}")
        except VersionMismatch as mismatch:
            self.end(tracked, mismatch)
            return False
        return True

    async def _open_again(self, tracked: Tracked) -> None:
        if tracked.is_late or self._open.get(tracked.id) is not tracked:
            return
        logger.warning("opened_again call=%s kind=%s", tracked.id, tracked.kind.name)
        try:
            reply = await self._opener.open(tracked.new, tracked.policy).reply
        except Unavailable:
            return  # the next look tries again
        if reply.word == "conflict":
            self.end(tracked, conflict(tracked.kind))
        elif reply.word != "late" and self._open.get(tracked.id) is tracked:
            self.opened(tracked, tracked.kind, tracked.new, tracked.policy, reply)

    async def _cancel_abandoned(self) -> None:
        now = asyncio.get_running_loop().time()
        for call_id, until in list(self._abandoned.items()):
            # A reply "missing" may mean that its opening is still on its way.
            if call_id in self._open or now > until:
                del self._abandoned[call_id]
            elif await self._ledger.cancel(call_id, inbox=self._client_id) != "missing":
                self._abandoned.pop(call_id, None)

    def _silent(self, tracked: Tracked) -> None:
        logger.warning("silent call=%s kind=%s", tracked.id, tracked.kind.name)
        message = (
            f"{tracked.kind.name} {tracked.id} was not heard of by its deadline: the ledger is silent, so its outcome"
            " is unknown; ask for it by its id when Redis answers again."
        )
        self.end(tracked, DeadlineExceeded(message, tracked.id, None))


_OVER = (DONE, FAILED, CANCELLED)


def _chunks(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
