"""Lets at most so many through in a second."""

from __future__ import annotations

import asyncio


class Pace:
    """Turns at even distances; one who comes late gets no more for it.

    Args:
        rate: turns each second; None lets everybody through.
    """

    def __init__(self, rate: float | None) -> None:
        self._gap_s = 1 / rate if rate else 0.0
        self._next = 0.0

    async def turn(self) -> None:
        """Wait for the next turn."""
        if not self._gap_s:
            return
        now = asyncio.get_running_loop().time()
        at = max(now, self._next)
        self._next = at + self._gap_s
        if at > now:
            await asyncio.sleep(at - now)
