"""The turns of one client's conversations: what they share."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakValueDictionary

from bot_client.call import Call
from understudy.contracts.agent_turn import AgentTurnResult
from understudy.ending import end_tasks

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from bot_client.inbox import Event
    from bot_client.interface import Client
    from understudy.contracts.call import Outcome
    from understudy.history import Message
    from understudy.state.conversation import Conversations, Limits

T = TypeVar("T")

WRITTEN_S = 1.0
"""How long an outcome is held back until it stands in the history; the writing goes on without it."""


AT_ONCE = 16
"""Round trips: more of them would wait for a connection, and give up on it within a second."""


@dataclass(frozen=True)
class Asked:
    """What a turn asks.

    Args:
        said: the user's message, or results of tools.
        request: the rest of the agent turn's request.
        options: of its call; the key is the turn's own.
        deadline_s: from now on, the waiting for its turn included.
    """

    conversation: str
    said: tuple[Message, ...]
    request: dict[str, Any]
    options: dict[str, Any]
    limits: Limits
    deadline_s: float
    key: str = ""


class TurnCall(Call[AgentTurnResult]):
    """The call of a turn: its outcome comes when the history has it."""

    def __init__(self, call: Call[AgentTurnResult], over: asyncio.Future[None]) -> None:
        super().__init__(call._client, call._kind, call._id, call._ended, call.feed)  # noqa: SLF001 - its own parts
        self._over = over

    async def result(self, timeout_s: float | None = None) -> Outcome[AgentTurnResult]:
        """Wait for the outcome; see `Call.result`."""
        try:
            return await super().result(timeout_s)
        finally:
            if self.done():
                await asyncio.wait([self._over], timeout=WRITTEN_S)


class TurnTaking:
    """The turns of one client.

    Args:
        client: whose calls they are.
        store: of histories and places.
    """

    def __init__(self, client: Client, store: Conversations) -> None:
        self.client = client
        self.store = store
        self._order: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._at_once = asyncio.Semaphore(AT_ONCE)
        self.closed = False

    def before(self, deliver: Callable[[Event], None]) -> Callable[[Event], None]:
        """Takes events from the inbox: those that wake a turn, and hands on the rest."""

        def take(event: Event) -> None:
            if event.type == "turn":
                self.store.wake(event.call_id)
            else:
                deliver(event)

        return take

    def order(self, conversation: str) -> asyncio.Lock:
        """Held while a turn takes its place: those of this process take theirs in the order in which they came."""
        return self._order.setdefault(conversation, asyncio.Lock())

    def in_background(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Do it, whatever becomes of who asked for it."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._over)
        return task

    async def trip(self, make: Callable[[Conversations], Coroutine[Any, Any, T]]) -> T:
        """Do it with the store, when there are not too many at it."""
        async with self._at_once:
            return await make(self.store)

    async def aclose(self) -> None:
        """Let turns that have just ended be written."""
        self.closed = True
        self.store.wake_all()
        await asyncio.sleep(0)  # the calls have ended for this client just now: their turns hear of it
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=WRITTEN_S)
        await end_tasks(self._tasks)

    def _over(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # whoever wanted to know has been told
