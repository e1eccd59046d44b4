"""A streamed agent turn: iterate over it for what happens, as it happens."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Self

from bot_client.events import AgentEvent, Delta, Done, Restarted, Started, ToolCalled, ToolReturned
from bot_client.feed import MISSED
from understudy.contracts.text import TURN_BREAK
from understudy.errors import CallCancelled

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from types import TracebackType

    from bot_client.call import Call
    from bot_client.interface import Client
    from understudy.contracts.agent_turn import AgentTurnResult
    from understudy.contracts.call import Outcome

__all__ = ["AgentEvent", "AgentStream", "Delta", "Done", "Restarted", "Started", "ToolCalled", "ToolReturned"]


# A stream, its call and their client are parts of one thing, hence SLF001 below.
class AgentStream:
    """One agent turn as a stream of events; the call is opened when it is first used.

    Iterate over it once, or await `result` alone. Leaving the iteration by `break`, an exception or the cancellation of
    the task cancels the call; so does leaving `async with`, which need not be used.

    Args:
        client: that opens the call.
        open_call: opens it.
    """

    def __init__(self, client: Client, open_call: Callable[[], Awaitable[Call[AgentTurnResult]]]) -> None:
        self._client = client
        self._open_call = open_call
        self._opening = asyncio.Lock()
        self._call: Call[AgentTurnResult] | None = None
        self._text: list[str] = []
        self._iterated = False
        self._withdrawn = False

    @property
    def id(self) -> str:
        """The id of the call.

        Raises:
            RuntimeError: it is not opened yet: iterate over the stream, or enter it with `async with`.
        """
        if self._call is None:
            raise RuntimeError("The call is not opened yet: iterate over the stream, or enter it with `async with`.")
        return self._call.id

    @property
    def text(self) -> str:
        """The text as it is to be shown now: what was iterated over, since the answer last began anew."""
        if len(self._text) > 1:
            self._text = ["".join(self._text)]
        return "".join(self._text)

    def __aiter__(self) -> AsyncIterator[AgentEvent]:
        """The events; the last one is `Done`.

        Raises:
            RuntimeError: it was iterated over before.
            InvalidRequest, KeyConflict, Unavailable: as `Client.submit`.
            CallError: the call ended without an answer; one of its subclasses says why.
        """
        if self._iterated:
            raise RuntimeError("A stream is iterated over once; ask again for another, or read its text and result.")
        self._iterated = True
        # A generator of its own: leaving the loop drops it, which ends it, and so the call.
        return self._events()

    async def result(self) -> Outcome[AgentTurnResult]:
        """Wait for the outcome, with or without iterating; cancelled, it cancels the call unless that is iterated over.

        Raises:
            InvalidRequest, KeyConflict, Unavailable: as `Client.submit`.
            CallError: the call ended without an answer; one of its subclasses says why.
        """
        call = await self._opened()
        try:
            return await call.result()
        except asyncio.CancelledError:
            if not self._iterated:
                await self._leave()
            raise

    async def cancel(self) -> bool:
        """Give the call up, as `Client.cancel` does; whether it ended by it. One that was not opened is not opened."""
        async with self._opening:
            if self._call is None:
                self._withdrawn = True
                return False
        return await self._call.cancel()

    async def __aenter__(self) -> Self:
        await self._opened()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._leave()

    async def _opened(self) -> Call[AgentTurnResult]:
        async with self._opening:
            if self._withdrawn:
                raise CallCancelled("The turn was given up before it was asked for; ask again if it is still wanted.")
            if self._call is None:
                self._call = await self._open_call()
        return self._call

    async def _events(self) -> AsyncIterator[AgentEvent]:
        call = await self._opened()
        try:
            position = 0
            while call.feed is not None:
                events, position = await call.feed.after(position)
                if not events:
                    break
                for event in events:
                    self._show(event)
                    yield event
            outcome = await call.result()
            for event in self._rest(outcome):
                self._show(event)
                yield event
            yield Done(outcome)
        finally:
            await self._leave()

    def _show(self, event: AgentEvent) -> None:
        if isinstance(event, Restarted):
            self._text.clear()
        elif isinstance(event, Delta):
            self._text.append(event.text)

    def _rest(self, outcome: Outcome[AgentTurnResult]) -> list[AgentEvent]:
        """What brings the text to the whole answer, where events were missed."""
        said = (message.content for message in outcome.result.new_messages if message.role == "assistant")
        whole, shown = TURN_BREAK.join(filter(None, said)), self.text
        if whole == shown:
            return []
        if whole.startswith(shown):
            return [Delta(whole[len(shown) :])]
        return [Restarted(outcome.provider or "", MISSED), Delta(whole)]

    async def _leave(self) -> None:
        """Nobody reads on: the call is cancelled unless it has ended."""
        if self._call is not None and not self._call.done():
            await self._client._give_up(self._call.id)  # noqa: SLF001
