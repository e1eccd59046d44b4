"""What every part of a worker process works with, wired once."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

import structlog
from redis.exceptions import RedisError, ResponseError

from understudy.state.view import View
from workers.metrics import Metrics

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from redis.asyncio import Redis

    from understudy.providers import Provider
    from understudy.settings import Settings
    from understudy.state.health import Health, Snapshot
    from understudy.state.ledger import Ledger
    from workers.chat import Chat
    from workers.deltas import Deltas
    from workers.leases import Leases

T = TypeVar("T")

_OUTAGES = ("BUSY", "MISCONF", "NOREPLICAS")

log = structlog.get_logger("understudy.worker")


@dataclass
class Context:
    """One worker process."""

    worker_id: str
    settings: Settings
    providers: tuple[Provider, ...]
    redis: Redis
    ledger: Ledger
    health: Health
    leases: Leases
    chat: Chat
    deltas: Deltas
    thinks_first: set[tuple[str, str]] = field(default_factory=set)
    """Providers and models whose reasoning was seen to have an end and no beginning."""
    metrics: Metrics = field(default_factory=Metrics)
    places: asyncio.Semaphore | None = None
    """Of requests under way: as many as the worker's concurrency, as it takes more messages than that."""
    view: View = field(init=False)

    def __post_init__(self) -> None:
        self.view = View(self.health, self.metrics.saw)

    @property
    def by_name(self) -> dict[str, Provider]:
        """The providers by name."""
        return {provider.name: provider for provider in self.providers}

    async def seen(self) -> Snapshot:
        """The health by which limits are judged: a moment old, or the last known one while Redis is away."""
        return await self.view.known()

    async def look(self) -> Snapshot:
        """The health as it is now, for decisions about where a call goes."""
        return await self.view.look()

    async def insist(self, operation: Callable[[], Awaitable[T]], *, until: float | None = None) -> T:
        """Repeat a ledger operation while Redis is out of reach.

        Args:
            until: by the monotonic clock; None repeats until it works or the caller is cancelled.

        Raises:
            RedisError: it did not work in time, or the script itself failed, as it would each time.
        """
        pause_s = 0.1
        while True:
            try:
                return await operation()
            except (RedisError, OSError) as error:
                if _is_bug(error) or (until is not None and time.monotonic() + pause_s > until):
                    raise
                log.warning("the ledger is out of reach, trying again", error=type(error).__name__)
                await asyncio.sleep(pause_s)
                pause_s = min(2.0, pause_s * 2)


def _is_bug(error: Exception) -> bool:
    """Whether a script broke off by itself; a server that is busy or without its disk says so in its first word."""
    text = str(error)
    return type(error) is ResponseError and "user_script" in text and not text.startswith(_OUTAGES)
