"""Says in the log what the ledger noted as an alert: a budget that is being used up, too many paid calls."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from uuid import uuid4

import structlog
from redis.exceptions import RedisError

from understudy.money import dollars

if TYPE_CHECKING:
    from collections.abc import Mapping

    from understudy.state.ledger import Ledger
    from workers.metrics import Metrics

LOOK_S = 2.0
MOST = 100

log = structlog.get_logger("understudy.alerts")


class Alerts:
    """In every worker; the ledger gives each alert to one of them."""

    def __init__(self, ledger: Ledger, metrics: Metrics | None = None) -> None:
        self._ledger = ledger
        self._metrics = metrics
        self._token = uuid4().hex

    async def run(self) -> None:
        """Look for ever."""
        while True:
            await asyncio.sleep(LOOK_S)
            try:
                await self.look()
            except (RedisError, OSError) as error:
                log.debug("no look at the alerts", error=type(error).__name__)
            except Exception as error:
                log.exception("alerts cannot be said", error=type(error).__name__)

    async def look(self) -> int:
        """Say what is new; returns how much it was."""
        rows = await self._ledger.lua("alerts", most=MOST, token=self._token)
        self._token = uuid4().hex  # until a reply comes, the same: it gets the same alerts
        for flat in rows:
            alert = dict(zip(flat[::2], flat[1::2], strict=True))
            _say(alert)
            if self._metrics:
                self._metrics.alerted(alert["name"])
        return len(rows)


def _say(alert: Mapping[str, str]) -> None:
    name, percent, used, limit = alert["name"], *(int(alert[field]) for field in ("percent", "used", "limit"))
    if name == "budget":
        log.warning(
            "alert",
            name=name,
            budget=" ".join(filter(None, (alert["budget"], alert.get("of")))),
            percent=percent,
            used=dollars(used),
            limit=dollars(limit),
            period=alert["period"],
        )
    else:
        log.warning("alert", name=name, percent=percent, paid=used, calls=limit, period=alert["period"])
