"""Whether a stand-in's model is in memory, as Ollama has it."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from workers.stand_in.fate import Fate


class Memory:
    """The call that comes first loads the model, and all others wait; if it leaves, the next one begins anew.

    Args:
        on_load: called whenever a loading begins.
        clock: milliseconds of a clock that never goes back.
    """

    def __init__(self, on_load: Callable[[], object], clock: Callable[[], float] | None = None) -> None:
        self._on_load = on_load
        self._now_ms = clock or (lambda: time.monotonic() * 1000)
        self._loading = asyncio.Lock()
        self._used_ms: float | None = None

    async def need(self, fate: Fate) -> None:
        """Wait until the model is there."""
        async with self._loading:
            if self._used_ms is None or self._now_ms() - self._used_ms > fate.cold_idle_ms:
                self._on_load()
                await asyncio.sleep(fate.cold_ms / 1000)
            self._used_ms = self._now_ms()

    def unload(self) -> None:
        """The next call finds it cold."""
        self._used_ms = None
