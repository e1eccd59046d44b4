"""The inbox: one stream in Redis, read over one connection, for all calls of this process."""

from __future__ import annotations

import asyncio
import json
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from understudy.redis_client import redis_from

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from understudy.settings import Settings

logger = logging.getLogger("understudy.client")

BLOCK_MS = 2_000
REPLY_S = BLOCK_MS / 1000 + 2
"""A connection that stays silent for longer is given up."""

PER_READ = 16
"""Entries of one read: delivering one takes about 0.1 ms of the loop's time."""

FIRST = "0-0"
BACKOFF_S = (0.05, 0.1, 0.2, 0.5, 1.0)


@dataclass(frozen=True)
class Event:
    """Something that happened to a call.

    Args:
        type: `started`, `delta`, …; `done` and `failed` are the last of a call's life.
        epoch, n: what orders a call's events; the last one has n = -1.
        data: JSON, or `look`: what happened stands in the record.
    """

    call_id: str
    type: str
    epoch: int
    n: int
    data: str

    @classmethod
    def read(cls, fields: Mapping[str, str]) -> list[Event]:
        """From the fields of a stream's entry; one of the type `batch` has those of many calls."""
        if fields["type"] == "batch":
            rows = json.loads(fields["data"])
            return [cls(call_id, kind, epoch, n, data) for call_id, epoch, n, kind, data in rows]
        epoch, n = int(float(fields.get("epoch") or 0)), int(float(fields.get("n") or 0))
        return [cls(fields["id"], fields["type"], epoch, n, fields.get("data", ""))]

    @property
    def is_last(self) -> bool:
        """Whether the call has ended with it."""
        return self.type in ("done", "failed")


class Inbox:
    """Reads the stream from its beginning, and goes on after a dropped connection where it stopped.

    Args:
        key: of the stream.
        deliver: takes each event, in order.
        on_return: called when Redis answers again after it was away.
        on_read: told how many entries each read brought.
    """

    def __init__(
        self,
        settings: Settings,
        key: str,
        deliver: Callable[[Event], None],
        on_return: Callable[[], None],
        on_read: Callable[[int], None] = lambda _: None,
    ) -> None:
        # No retry below us: we must know that the connection was lost.
        self._redis = redis_from(settings, reply_s=REPLY_S, max_connections=1, retry=Retry(NoBackoff(), 0))
        self._key = key
        self._deliver = deliver
        self._on_return = on_return
        self._on_read = on_read
        self._last = FIRST

    def rewind(self) -> None:
        """Read from the beginning again: the stream is gone, and another may come whose ids are lower."""
        self._last = FIRST

    async def run(self) -> None:
        """Read until cancelled."""
        failures = 0
        while True:
            try:
                entries = await self._read()
            except (RedisError, OSError) as error:
                if not failures:
                    logger.warning("inbox_lost error=%s", type(error).__name__)
                await asyncio.sleep(BACKOFF_S[min(failures, len(BACKOFF_S) - 1)])
                failures += 1
                continue
            if failures:
                failures = 0
                logger.info("inbox_back")
                self._on_return()
            self._on_read(len(entries))
            for entry_id, fields in entries:
                self._last = entry_id
                self._take(fields)

    async def aclose(self) -> None:
        """Close the connection."""
        await self._redis.aclose()

    def _take(self, fields: Mapping[str, str]) -> None:
        call_id = fields.get("id", "")
        try:
            for event in Event.read(fields):
                call_id = event.call_id
                self._deliver(event)
        except Exception as error:  # noqa: BLE001 - one entry must not end the reading of all
            logger.error("inbox_event_failed call=%s error=%s", call_id, type(error).__name__)

    async def _read(self) -> list[tuple[str, Mapping[str, str]]]:
        answer: Any = await self._redis.xread({self._key: self._last}, count=PER_READ, block=BLOCK_MS)
        if not answer:
            return []
        # A mapping in RESP3, where each stream's entries are in a list of lists; pairs in RESP2.
        rows = next(iter(answer.values())) if isinstance(answer, dict) else answer[0][1]
        return list(rows[0]) if rows and isinstance(answer, dict) else list(rows)
