"""The conversations of the client in memory."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from understudy.state.conversation import Conversations, Place, Turn

if TYPE_CHECKING:
    from collections.abc import Callable

    from understudy.state.conversation import Limits


@dataclass
class _Kept:
    turns: list[Turn] = field(default_factory=list)
    places: list[str] = field(default_factory=list)
    pending: Turn | None = None
    forget: str = ""


class MemoryConversations(Conversations):
    """Conversations of one process; as those in Redis, but nobody loses a place and nothing expires.

    Args:
        reach: raises where the client is to be out of reach.
    """

    def __init__(self, reach: Callable[[], None]) -> None:
        super().__init__()
        self._reach = reach
        self._kept: dict[str, _Kept] = defaultdict(_Kept)

    async def take(
        self,
        conversation: str,
        ticket: str,
        turn: Turn,
        *,
        settled: tuple[str, Turn | None] | None = None,
        limits: Limits,  # noqa: ARG002 - nothing expires here
    ) -> Place:
        """Take a place, keep it, and ask; see `Conversations.take`."""
        self._reach()
        kept = self._kept[conversation]
        if ticket not in kept.places:
            kept.places.append(ticket)
        if kept.places[0] != ticket:
            return Place("wait")
        if settled and kept.pending and kept.pending.call == settled[0]:
            self._add(kept, settled[1], None)
            kept.pending = None
        if kept.pending and kept.pending.call != turn.call:
            return Place("settle", kept.pending)
        kept.pending = turn
        return Place("go", history=tuple(kept.turns))

    async def keep(self, conversation: str, ticket: str) -> None:
        """Keep the place, which nobody takes."""

    async def end(
        self,
        conversation: str,
        ticket: str,
        call: str,
        *,
        turn: Turn | None,
        first: str | None,
        unknown: bool,
        ttl_s: float,  # noqa: ARG002 - nothing expires here
    ) -> None:
        """Give up the place; see `Conversations.end`."""
        kept = self._kept[conversation]
        self._add(kept, turn, first)
        if not unknown and kept.pending and kept.pending.call == call:
            kept.pending = None
        if ticket in kept.places:
            kept.places.remove(ticket)
        if kept.places:
            self.wake(kept.places[0])

    async def history(self, conversation: str) -> tuple[Turn, ...]:
        """The turns that were answered, oldest first."""
        self._reach()
        return tuple(self._kept[conversation].turns)

    async def clear(self, conversation: str) -> None:
        """Forget the history; a turn that is under way is not written either."""
        self._reach()
        kept = self._kept[conversation]
        kept.turns.clear()
        kept.forget = kept.pending.call if kept.pending else ""

    @staticmethod
    def _add(kept: _Kept, turn: Turn | None, first: str | None) -> None:
        if turn is None or turn.call == kept.forget or any(old.call == turn.call for old in kept.turns):
            return
        kept.turns.append(turn)
        calls = [old.call for old in kept.turns]
        if first in calls:
            del kept.turns[: calls.index(first)]
