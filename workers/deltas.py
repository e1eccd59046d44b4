"""What streamed calls say before they end: one outbox a process, emptied into the clients' inboxes."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import structlog
from redis.exceptions import RedisError

from understudy.state.keys import INBOX_MS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from redis.asyncio import Redis

    from understudy.state.keys import Keys
    from workers.run import Run

PACE_S = 0.03
"""Between two entries of an inbox: quicker than anyone reads; half of it costs more commands than it wins time."""

MAX_CHARS = 8_000_000
"""Kept while Redis is away. What is said beyond it is lost: the gap ends a call's deltas, its end brings the whole."""

ENTRY_CHARS = 200_000
"""Of one entry: reading it must not hold up a client's loop."""

FLUSH_S = 0.5
"""How long the end of a call waits for what it said before."""

RETRY_S = 0.2

log = structlog.get_logger("understudy.deltas")


@dataclass
class _Event:
    inboxes: tuple[str, ...]
    call_id: str
    epoch: int
    n: int
    type: str
    parts: list[str] = field(default_factory=list)

    def row(self) -> list[Any]:
        return [self.call_id, self.epoch, self.n, self.type, "".join(self.parts)]


class Deltas:
    """The outbox of a process: a call's first event goes at once and alone, all else that waits every `PACE_S`.

    Args:
        maxlen: entries of one inbox.
    """

    def __init__(self, redis: Redis, keys: Keys, maxlen: int) -> None:
        self._redis = redis
        self._keys = keys
        self._maxlen = maxlen
        self._waiting: list[_Event] = []
        self._unsent: list[_Event] = []
        """On their way, or not known to have arrived: they go first, and who has them drops them."""
        self._latest: dict[tuple[str, int], _Event] = {}
        """Of those that wait, each run's last."""
        self._chars = 0
        self._sending = asyncio.Lock()
        self._due = asyncio.Event()
        self._all_due = False
        self._timer: asyncio.TimerHandle | None = None
        self._sent_at = 0.0

    def say(self, run: Run, kind: str, data: str | Mapping[str, Any] = "") -> None:
        """Put an event of a run into the outbox; of one whose caller does not stream, nothing.

        Args:
            kind: `delta` (its data is text), `tool_call`, `tool_result` or `restarted`.
        """
        if not run.streams:
            return
        text = data if isinstance(data, str) else json.dumps(data)
        full = self._chars + len(text) > MAX_CHARS
        latest = self._latest.get((run.call_id, run.epoch))
        if latest is not None and kind == latest.type == "delta" and not full:
            latest.parts.append(text)
            self._chars += len(text)
            return
        run.n += 1
        if full:
            self._latest.pop((run.call_id, run.epoch), None)
            return  # its number is used up, so that the reader sees the gap
        event = _Event(run.inboxes, run.call_id, run.epoch, run.n, kind, [text])
        self._waiting.append(event)
        self._latest[run.call_id, run.epoch] = event
        self._chars += len(text)
        self._schedule(is_first=run.n == 1)

    def _schedule(self, *, is_first: bool) -> None:
        loop = asyncio.get_running_loop()
        if loop.time() >= self._sent_at + PACE_S:
            self._all_is_due()
        elif is_first:
            self._due.set()
        elif self._timer is None:
            self._timer = loop.call_at(self._sent_at + PACE_S, self._all_is_due)

    def _all_is_due(self) -> None:
        self._all_due = True
        self._due.set()

    async def run(self) -> None:
        """Empty the outbox until cancelled."""
        while True:
            await self._due.wait()
            try:
                await self._send()
            except (RedisError, OSError) as error:
                log.warning("deltas are kept", error=type(error).__name__, events=len(self._unsent))
                await asyncio.sleep(RETRY_S)
                self._due.set()

    async def flush(self) -> None:
        """What was said so far is in the inboxes; or Redis is away, and it goes later."""
        if not self._waiting and not self._unsent:
            return
        try:
            with suppress(RedisError, OSError, TimeoutError):
                async with asyncio.timeout(FLUSH_S):
                    self._all_due = True
                    await self._send()
        finally:
            if self._unsent:
                self._due.set()

    async def _send(self) -> None:
        async with self._sending:
            self._due.clear()
            self._take_due()
            if not self._unsent:
                return
            try:
                await self._add(list(_batches(self._unsent)))
            except (RedisError, OSError):
                raise
            except Exception as error:  # noqa: BLE001 - what cannot be sent must not keep all else from being sent
                log.error("deltas are lost", error=type(error).__name__)
            self._unsent = []
            self._chars = sum(len(part) for event in self._waiting for part in event.parts)

    def _take_due(self) -> None:
        """All that waits where that is due, else the first events, which are not held up by the writing of others."""
        if self._all_due:
            self._all_due = False
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            self._sent_at = asyncio.get_running_loop().time()
            due, self._waiting = self._waiting, []
        else:
            due = [event for event in self._waiting if event.n == 1]
            self._waiting = [event for event in self._waiting if event.n != 1]
        for event in due:
            self._latest.pop((event.call_id, event.epoch), None)
        self._unsent += due

    async def _add(self, entries: list[tuple[str, list[list[Any]]]]) -> None:
        async with self._redis.pipeline(transaction=False) as pipe:
            for inbox, rows in entries:
                key, data = self._keys.inbox(inbox), json.dumps(rows, separators=(",", ":"))
                pipe.xadd(key, {"type": "batch", "data": data}, maxlen=self._maxlen, approximate=True)
                pipe.pexpire(key, INBOX_MS)
            replies = await pipe.execute(raise_on_error=False)
        for reply in replies:
            if isinstance(reply, Exception):  # the server is there, and will not have it
                log.warning("deltas are lost", error=type(reply).__name__)


def _batches(events: list[_Event]) -> Iterator[tuple[str, list[list[Any]]]]:
    """The events by inbox, in their order, in entries that are not too large."""
    by_inbox: dict[str, list[list[Any]]] = {}
    sizes: dict[str, int] = {}
    for event in events:
        row = event.row()
        for inbox in event.inboxes:
            rows = by_inbox.setdefault(inbox, [])
            size = sizes.get(inbox, 0) + len(row[4])
            if rows and size > ENTRY_CHARS:
                yield inbox, rows
                rows, size = [], len(row[4])
                by_inbox[inbox] = rows
            rows.append(row)
            sizes[inbox] = size
    yield from by_inbox.items()
