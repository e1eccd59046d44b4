"""How late the worker's event loop is, sampled for the metrics."""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from workers.metrics import Metrics

SAMPLE_S = 0.5
"""Often enough to see a stall of a second, rarely enough to cost nothing."""


class LoopLag:
    """Sleeps, and notes by how much longer that took than it should."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    async def run(self) -> None:
        """Sample for ever."""
        while True:
            due = monotonic() + SAMPLE_S
            await asyncio.sleep(SAMPLE_S)
            self._metrics.lagged(max(0.0, monotonic() - due))
