"""The leases of this process: all renewed by one script, which also brings what was lost or cancelled."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import structlog
from redis.exceptions import RedisError

from understudy.state.keys import LEASE_MS, RENEW_S

if TYPE_CHECKING:
    from collections.abc import Callable

    from understudy.state.ledger import Ledger

SAFE_S = 2.0
"""A request is sent only with this much of the lease left by the monotonic clock."""

log = structlog.get_logger("understudy.leases")


class LeaseLost(Exception):
    """The lease ran out or was taken: nothing more may be asked under it."""


@dataclass
class Lease:
    """The right to work on one call, for a limited time."""

    call_id: str
    epoch: int
    rid: str
    provider: str
    model: str
    on_gone: Callable[[], object] = lambda: None
    gone: str = ""
    """`lost` or `cancelled`, once the ledger said so."""
    renewed: float = field(default_factory=time.monotonic)

    def left_s(self) -> float:
        """What is certainly left of it."""
        return self.renewed + LEASE_MS / 1000 - time.monotonic()

    @property
    def safe(self) -> bool:
        """Whether a request may be sent under it."""
        return not self.gone and self.left_s() >= SAFE_S


class Leases:
    """Keeps the leases of all calls that run in this process."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._held: dict[tuple[str, int], Lease] = {}

    def __len__(self) -> int:
        return len(self._held)

    def hold(self, lease: Lease) -> None:
        """Renew it from now on."""
        self._held[lease.call_id, lease.epoch] = lease

    def drop(self, lease: Lease) -> None:
        """Renew it no longer."""
        self._held.pop((lease.call_id, lease.epoch), None)

    async def run(self) -> None:
        """Renew for ever; while Redis is away attempts go on, and are renewed when it is back."""
        away = False
        while True:
            await asyncio.sleep(RENEW_S)
            try:
                await self.renew()
                away = False
            except (RedisError, OSError) as error:
                if not away:
                    log.warning("leases cannot be renewed", error=type(error).__name__, running=len(self))
                away = True
            except Exception as error:  # noqa: BLE001 - without renewals every running call would be lost
                log.error("leases were not renewed", error=type(error).__name__, running=len(self))

    async def renew(self) -> None:
        """Renew all, and stop what is not ours any more."""
        leases = list(self._held.values())
        if not leases:
            return
        before = time.monotonic()
        rows = [(lease.call_id, lease.epoch, lease.rid, lease.provider, lease.model) for lease in leases]
        for lease, status in zip(leases, await self._ledger.renew(rows), strict=True):
            if status == "ok":
                lease.renewed = before
            elif status in ("lost", "cancelled") and not lease.gone:
                lease.gone = status
                lease.on_gone()
