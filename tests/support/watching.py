"""Watching a streamed turn: what was shown, event by event."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bot_client import AgentEvent, Delta, Done, Restarted, Started

if TYPE_CHECKING:
    from collections.abc import Callable

    from bot_client import AgentStream, AgentTurnResult, Outcome


@dataclass
class Watched:
    """One stream that was iterated over to its end."""

    events: list[AgentEvent] = field(default_factory=list)
    shown: str = ""

    @property
    def types(self) -> list[str]:
        """What came, with texts in a row as one."""
        types = [event.type for event in self.events]
        return [kind for kind, before in zip(types, ["", *types], strict=False) if (kind, before) != ("delta", "delta")]

    @property
    def outcome(self) -> Outcome[AgentTurnResult]:
        """How it ended."""
        done = self.events[-1]
        assert isinstance(done, Done)
        return done.outcome

    @property
    def restarts(self) -> list[Restarted]:
        """Where the answer began anew."""
        return [event for event in self.events if isinstance(event, Restarted)]

    @property
    def providers(self) -> list[str]:
        """Who was asked."""
        return [event.provider for event in self.events if isinstance(event, Started)]

    @property
    def is_whole(self) -> bool:
        """Whether what was shown at the end is the answer."""
        return self.shown == self.outcome.result.text

    def take(self, event: AgentEvent) -> None:
        """Show an event as a bot would."""
        assert not (self.events and isinstance(self.events[-1], Done)), "something came after the end"
        self.events.append(event)
        if isinstance(event, Restarted):
            self.shown = ""
        elif isinstance(event, Delta):
            assert event.text, "an empty delta"
            self.shown += event.text


async def watch(stream: AgentStream, on_event: Callable[[Watched], object] = lambda _: None) -> Watched:
    """Iterate to the end.

    Args:
        on_event: called after each event.
    """
    watched = Watched()
    async for event in stream:
        watched.take(event)
        assert stream.text == watched.shown
        on_event(watched)
    return watched
