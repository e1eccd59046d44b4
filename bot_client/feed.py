"""What was read of one streamed call, for those in this process who watch it."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

from bot_client.events import Delta, Restarted, Started, ToolCalled, ToolReturned
from bot_client.order import Reading

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bot_client.events import AgentEvent
    from bot_client.inbox import Event

MISSED = "missed events"
"""Why an answer begins anew for a reader who has not seen how."""


class Feed:
    """The events of one call, kept to its end: who comes late or reads slowly misses nothing."""

    def __init__(self) -> None:
        self._events: list[AgentEvent] = []
        self._more = asyncio.Event()
        self._closed = False

    def put(self, event: AgentEvent) -> None:
        """Add an event."""
        self._events.append(event)
        self._more.set()

    def take(self, event: Event, reading: Reading) -> None:
        """Add what an event of the inbox means."""
        for one in _read(event, reading):
            self.put(one)

    def close(self) -> None:
        """Nothing follows: the call has ended for this process."""
        self._closed = True
        self._more.set()

    async def after(self, position: int) -> tuple[list[AgentEvent], int]:
        """The events from a position on, and the next position; waits for one, and gives none at the end.

        Texts that wait together are one.
        """
        while len(self._events) <= position and not self._closed:
            self._more.clear()
            await self._more.wait()
        return _joined(self._events[position:]), len(self._events)


def _joined(events: list[AgentEvent]) -> list[AgentEvent]:
    """The events with neighbouring texts as one."""
    joined: list[AgentEvent] = []
    texts: list[str] = []
    for event in events:
        if isinstance(event, Delta):
            texts.append(event.text)
            continue
        if texts:
            joined.append(Delta("".join(texts)))
            texts.clear()
        joined.append(event)
    if texts:
        joined.append(Delta("".join(texts)))
    return joined


def _read(event: Event, reading: Reading) -> Iterator[AgentEvent]:
    if reading is Reading.FORGET:
        yield Restarted("", MISSED)
    if reading not in (Reading.SHOW, Reading.RESTART):
        return
    if event.type == "delta":
        yield Delta(event.data)
    elif event.type == "started":
        data = json.loads(event.data)
        if reading is Reading.RESTART:
            yield Restarted(data["provider"], data.get("why", ""))
        yield Started(data["provider"], data["model"])
    elif event.type in _OTHERS:
        yield _OTHERS[event.type](json.loads(event.data))


_OTHERS: dict[str, Callable[[dict[str, Any]], AgentEvent]] = {
    "tool_call": lambda data: ToolCalled(data["id"], data["name"], data["arguments"]),
    "tool_result": lambda data: ToolReturned(data["id"], data["name"], data["content"], data["ok"]),
    "restarted": lambda data: Restarted(data["provider"], data["why"]),
}
"""Types that a newer worker may add are not here, and pass unseen."""
