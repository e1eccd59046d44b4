"""The worker's announcement: that it consumes, which queues, how many at once."""

from __future__ import annotations

import asyncio
import os
import socket
from typing import TYPE_CHECKING

import structlog
from redis.exceptions import RedisError

import understudy
from understudy.state.keys import BEAT_S

if TYPE_CHECKING:
    from understudy.state.workers import Workers

log = structlog.get_logger("understudy.heartbeat")


class Heartbeat:
    """Announces this worker each second while it consumes, and takes the announcement back when it stops."""

    def __init__(self, workers: Workers, worker_id: str) -> None:
        self._workers = workers
        self._worker_id = worker_id
        self._fields: dict[str, str | int] | None = None
        self._changed = asyncio.Event()

    @property
    def is_consuming(self) -> bool:
        """Whether this worker takes messages, as far as it knows."""
        return self._fields is not None

    def consuming(self, queues: list[str], concurrency: int) -> None:
        """Consuming has begun; on the loop."""
        self._fields = {
            "queues": ",".join(queues),
            "concurrency": concurrency,
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "version": understudy.__version__,
        }
        self._changed.set()

    def stopped(self) -> None:
        """Consuming has ended; on the loop."""
        self._fields = None
        self._changed.set()

    async def run(self) -> None:
        """Beat for ever."""
        announced = False
        while True:
            self._changed.clear()
            try:
                if self._fields is not None:
                    await self._workers.beat(self._worker_id, self._fields)
                    announced = True
                elif announced:
                    await self._workers.gone(self._worker_id)
                    announced = False
            except (RedisError, OSError) as error:
                log.debug("no heartbeat", error=type(error).__name__)
            except Exception as error:  # noqa: BLE001 - a worker that falls silent counts as dead
                log.error("no heartbeat", error=type(error).__name__)
            try:
                async with asyncio.timeout(BEAT_S):
                    await self._changed.wait()
            except TimeoutError:
                continue
