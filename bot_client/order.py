"""Which of a call's events count: pure rules over (epoch, n)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bot_client.inbox import Event


class Reading(StrEnum):
    """What is to be done about an event."""

    DROP = "drop"
    SHOW = "show"
    RESTART = "restart"
    """Show it after forgetting what an earlier attempt showed."""
    FORGET = "forget"
    """Forget what an earlier attempt showed; the new one's beginning is missing."""
    END = "end"
    LOOK = "look"
    """The record says how the call ended, or whether it did: events are missing."""


@dataclass
class Order:
    """What was read of a call so far.

    Args:
        floor: the epoch at which this life of the call began; a key that is asked again after a failure begins another.
        epoch: the highest seen.
        n: of its last event that was shown.
        broken: an event is missing, so no more of this epoch are shown.
    """

    floor: int = 0
    epoch: int = 0
    n: int = -1
    broken: bool = False
    ended: bool = False

    def read(self, event: Event) -> Reading:
        """Decide about an event, and remember it."""
        if self.ended or event.epoch < max(self.floor, self.epoch):
            return Reading.DROP
        if event.is_last:
            if event.data == "look" or event.epoch == self.floor:
                # The life before may have ended in the very millisecond in which this one began.
                return Reading.LOOK
            self.ended = True
            return Reading.END
        if event.epoch > self.epoch:
            again = self.n > 0
            self.epoch, self.n, self.broken = event.epoch, event.n, event.n > 0
            if self.broken:
                return Reading.FORGET if again else Reading.LOOK
            return Reading.RESTART if again else Reading.SHOW
        if self.broken or event.n <= self.n:
            return Reading.DROP
        if event.n > self.n + 1:
            self.broken = True
            return Reading.LOOK
        self.n = event.n
        return Reading.SHOW
