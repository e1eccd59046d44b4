"""Conversations: their history, and the order of their turns."""

from __future__ import annotations

import asyncio
import json
from abc import ABC, abstractmethod
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from understudy.history import trimmed
from understudy.state.lua import Reply

if TYPE_CHECKING:
    from collections.abc import Sequence

    from understudy.contracts.agent_turn import AgentTurnResult
    from understudy.history import Message
    from understudy.settings import Settings
    from understudy.state.lua import Lua

LEASE_MS = 15_000
"""A turn whose client is silent for longer has lost its place: a connection that is cut for 10 s is not."""

KEEP_S = 4.0
"""A place is kept this often, by turns that wait and by the one that runs."""


@dataclass(frozen=True)
class Limits:
    """How much of a conversation is kept, and for how long after its last turn."""

    messages: int = 40
    tokens: int = 8_000
    ttl_s: float = 604_800.0

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """As the settings say."""
        return cls(
            settings.understudy_conversation_messages,
            settings.understudy_conversation_tokens,
            settings.understudy_conversation_ttl_s,
        )

    def trim(self, messages: Sequence[Message]) -> list[Message]:
        """The newest whole exchanges that fit."""
        return trimmed(messages, max_messages=self.messages, max_tokens=self.tokens)


@dataclass(frozen=True)
class Turn:
    """One turn of a conversation: what was said and, once it is answered, what came back.

    Args:
        call: the id of its call.
        key: by which a turn that is asked for twice is known; empty where it has none.
    """

    call: str
    messages: tuple[Message, ...]
    key: str = ""

    def answered(self, result: AgentTurnResult) -> Turn:
        """It with its answer."""
        answer = [message.model_dump(mode="json", exclude_none=True) for message in result.new_messages]
        return Turn(self.call, (*self.messages, *answer), self.key)

    def row(self) -> str:
        """As it is stored; the scripts find it by how it begins."""
        stored = {"id": self.call, "key": self.key, "messages": self.messages}
        return json.dumps(stored, ensure_ascii=False, separators=(",", ":"))

    @classmethod
    def read(cls, row: str) -> Self:
        """From what is stored."""
        stored = json.loads(row)
        return cls(stored["id"], tuple(stored["messages"]), stored["key"])


@dataclass(frozen=True)
class Place:
    """What a turn is told that asks whether it may begin.

    Args:
        word: `wait`; `settle`, where how the turn before it ended is to be found out first; `go`.
        open: the turn before.
        history: of a turn that may begin.
    """

    word: str
    open: Turn | None = None
    history: tuple[Turn, ...] = field(default=())


def messages_of(turns: Sequence[Turn]) -> list[Message]:
    """The messages of the turns, oldest first."""
    return [message for turn in turns for message in turn.messages]


def oldest_kept(turns: Sequence[Turn], limits: Limits) -> str | None:
    """The call of the first turn of which something fits within the limits; the last one always does."""
    left = len(limits.trim(messages_of(turns)))
    for turn in reversed(turns):
        left -= len(turn.messages)
        if left <= 0:
            return turn.call
    return None


class Conversations(ABC):
    """Keeps histories, and lets the turns of a conversation begin one after another, in the order in which they came.

    A ticket names a turn's place; each method bears being repeated.
    """

    def __init__(self) -> None:
        self._waiting: dict[str, asyncio.Event] = {}

    def expect(self, ticket: str) -> None:
        """A turn is going to wait: what wakes it from now on counts."""
        self._waiting[ticket] = asyncio.Event()

    def wake(self, ticket: str) -> None:
        """A turn has come to the head, or is not wanted any more."""
        if ticket in self._waiting:
            self._waiting[ticket].set()

    def wake_all(self) -> None:
        """No turn is to wait any more."""
        for woken in self._waiting.values():
            woken.set()

    async def wait(self, ticket: str, limit_s: float) -> None:
        """Until the turn is woken, at most so long."""
        with suppress(TimeoutError):
            async with asyncio.timeout(limit_s):
                await self._waiting[ticket].wait()
        self._waiting[ticket].clear()

    def forget(self, ticket: str) -> None:
        """The turn waits no more."""
        self._waiting.pop(ticket, None)

    @abstractmethod
    async def take(
        self,
        conversation: str,
        ticket: str,
        turn: Turn,
        *,
        settled: tuple[str, Turn | None] | None = None,
        limits: Limits,
    ) -> Place:
        """Take a place, keep it, and ask whether the turn may begin.

        Args:
            turn: what was said; kept until its end is known, so that a client that dies loses nothing.
            settled: the call of the turn before, and that turn if it was answered.
        """

    @abstractmethod
    async def keep(self, conversation: str, ticket: str) -> None:
        """Keep the place."""

    @abstractmethod
    async def end(
        self,
        conversation: str,
        ticket: str,
        call: str,
        *,
        turn: Turn | None,
        first: str | None,
        unknown: bool,
        ttl_s: float,
    ) -> None:
        """Give up the place.

        Args:
            turn: what goes into the history; None of one that was not answered.
            first: the call of the oldest turn that stays there.
            unknown: how the call ended is not known, so that the next turn has to find out.
        """

    @abstractmethod
    async def history(self, conversation: str) -> tuple[Turn, ...]:
        """The turns that were answered, oldest first."""

    @abstractmethod
    async def clear(self, conversation: str) -> None:
        """Forget the history; a turn that is under way is not written either."""


class RedisConversations(Conversations):
    """Conversations in Redis, shared by every client; each method raises ``RedisError`` where that is out of reach.

    Args:
        inbox: of this client, where it is told that a turn may begin.
        lease_ms: for how long a place is kept; None for the usual time.
    """

    def __init__(self, lua: Lua, inbox: str, lease_ms: int | None = None) -> None:
        super().__init__()
        self._lua = lua
        self._inbox = inbox
        self._lease_ms = lease_ms or LEASE_MS

    async def take(
        self,
        conversation: str,
        ticket: str,
        turn: Turn,
        *,
        settled: tuple[str, Turn | None] | None = None,
        limits: Limits,
    ) -> Place:
        """Take a place, keep it, and ask; see `Conversations.take`."""
        known = None
        if settled is not None:
            call, before = settled
            known = {"call": call, "ttl_ms": int(limits.ttl_s * 1000)} | ({"row": before.row()} if before else {})
        reply = Reply.of(
            await self._lua(
                "turn_take",
                id=conversation,
                ticket=ticket,
                inbox=self._inbox,
                lease_ms=self._lease_ms,
                call=turn.call,
                row=turn.row(),
                settled=known,
            )
        )
        before_it = Turn.read(reply.text("row")) if reply.word == "settle" else None
        return Place(reply.word, before_it, tuple(map(Turn.read, reply.texts("history"))))

    async def keep(self, conversation: str, ticket: str) -> None:
        """Keep the place."""
        await self._lua(
            "turn_take", id=conversation, ticket=ticket, inbox=self._inbox, lease_ms=self._lease_ms, keep=True
        )

    async def end(
        self,
        conversation: str,
        ticket: str,
        call: str,
        *,
        turn: Turn | None,
        first: str | None,
        unknown: bool,
        ttl_s: float,
    ) -> None:
        """Give up the place; see `Conversations.end`."""
        await self._lua(
            "turn_end",
            id=conversation,
            ticket=ticket,
            call=call,
            row=turn.row() if turn else None,
            first=first,
            ttl_ms=int(ttl_s * 1000),
            open=unknown or None,
        )

    async def history(self, conversation: str) -> tuple[Turn, ...]:
        """The turns that were answered, oldest first."""
        rows: Any = await self._lua.redis.lrange(self._lua.keys.conversation(conversation), 0, -1)
        return tuple(map(Turn.read, rows))

    async def clear(self, conversation: str) -> None:
        """Forget the history."""
        await self._lua("turn_clear", id=conversation)
