"""The shared health as one process sees it: read anew beside the calls, not before them."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from understudy.state.health import Snapshot

if TYPE_CHECKING:
    from collections.abc import Callable

    from understudy.state.health import Health

FRESH_S = 0.2
"""An older view is read anew, while it still serves."""

STALE_S = 1.0
"""An older view serves nobody: a worker learns as quickly from the ledger that a provider takes no call."""


class View:
    """The latest snapshot of the health, for decisions that the ledger judges again.

    Args:
        on_seen: told of each snapshot that was read.
    """

    def __init__(self, health: Health, on_seen: Callable[[Snapshot], None] = lambda _: None) -> None:
        self._health = health
        self._on_seen = on_seen
        self._seen: Snapshot | None = None
        self._seen_at = 0.0
        self._changes = 0
        self._reading: asyncio.Task[None] | None = None

    async def latest(self) -> Snapshot:
        """The health as it was at most `STALE_S` ago.

        Raises:
            RedisError, OSError: it has to be read, and Redis cannot be reached.
        """
        age_s = time.monotonic() - self._seen_at
        if self._seen is None or age_s > STALE_S:
            return await self.look()
        if age_s > FRESH_S and (self._reading is None or self._reading.done()):
            self._reading = asyncio.create_task(self._read_beside())
        return self._seen

    async def known(self) -> Snapshot:
        """As `latest`; where it cannot be read, the last known one, empty at first."""
        try:
            return await self.latest()
        except Exception:  # noqa: BLE001 - no call may fail by what only limits are judged by
            self._seen = self._seen or Snapshot()
            self._seen_at = time.monotonic()
            return self._seen

    async def look(self) -> Snapshot:
        """The health as it is now.

        Raises:
            RedisError, OSError: Redis cannot be reached.
        """
        changes = self._changes
        seen = await self._health.snapshot()
        if changes == self._changes:  # else it may be what was before the change
            self._seen, self._seen_at = seen, time.monotonic()
        self._on_seen(seen)
        return seen

    def forget(self) -> None:
        """Read the health anew for whoever asks next: it was changed just now."""
        self._seen = None
        self._changes += 1

    async def aclose(self) -> None:
        """Let a reading that is under way end."""
        if self._reading is not None:
            await asyncio.wait([self._reading])

    async def _read_beside(self) -> None:
        try:
            await self.look()
        except Exception:  # noqa: BLE001 - whoever comes when the view is stale reads it, and hears what is wrong
            return
