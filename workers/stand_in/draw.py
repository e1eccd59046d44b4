"""Who meets which fate: the part of a stand-in's memory that decides it call by call."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Final

from workers.stand_in.fate import Fate

if TYPE_CHECKING:
    from collections.abc import Callable

HEALTHY: Final = Fate()


class Draw:
    """Draws the fate of each call.

    Args:
        fate: what may happen.
        seed: of the share and the latency range, unless the fate brings its own.
    """

    def __init__(self, fate: Fate, seed: int = 0) -> None:
        self.fate = fate
        self._random = random.Random(seed if fate.seed is None else fate.seed)
        self._left = fate.times

    def for_call(self, holds: Callable[[str], bool], *, probe: bool = False) -> Fate:
        """The fate of a call; a probe meets the same fates but uses up none of `times`.

        Args:
            holds: whether the call contains a text.
            probe: the call only asks whether the provider is there.
        """
        fate = self.fate
        if not fate.limited:
            return fate
        if fate.when is not None and not holds(fate.when):
            return HEALTHY
        if self._left == 0:
            return HEALTHY
        if fate.share < 1 and self._random.random() >= fate.share:
            return HEALTHY
        if self._left is not None and not probe:
            self._left -= 1
        return fate

    def for_look(self) -> Fate:
        """The fate of a request that is no call, such as a list of models: only what befalls every request."""
        return HEALTHY if self.fate.limited else self.fate

    def latency_s(self, fate: Fate) -> float:
        """How long this call waits before anything else happens."""
        latency = fate.latency_ms
        if isinstance(latency, tuple):
            return self._random.uniform(*latency) / 1000
        return latency / 1000
