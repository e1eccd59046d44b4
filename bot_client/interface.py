"""What every client can do: the real one, and the one in memory that tests use."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from typing import TYPE_CHECKING, Any, Literal, overload

from bot_client.batch.remoderating import Remoderating
from bot_client.conversing import Conversing
from bot_client.operations import Operations
from bot_client.stream import AgentStream
from understudy.contracts import KINDS
from understudy.contracts.agent_turn import DEFAULT_MODEL_TURNS
from understudy.contracts.kind import Kind, parse_options
from understudy.contracts.thread_naming import DEFAULT_LENGTH
from understudy.errors import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterable, Mapping, Sequence
    from typing import Unpack

    from pydantic import BaseModel

    from bot_client.call import Call, End
    from bot_client.options import Id, Options, SpendPolicy
    from bot_client.status import CallStatus
    from understudy.contracts.agent_turn import AgentTurnRequest, AgentTurnResult, Message
    from understudy.contracts.call import CallOptions, Outcome
    from understudy.contracts.moderation import ModerationRequest, ModerationResult
    from understudy.contracts.thread_naming import ThreadNamingRequest, ThreadNamingResult
    from understudy.contracts.tools import ToolSpec


class Client(Conversing, Remoderating, Operations):
    """Asks for LLM work and learns who answered."""

    @overload
    async def submit(
        self, kind: Literal["moderation"], request: ModerationRequest | Mapping[str, Any], **options: Unpack[Options]
    ) -> Call[ModerationResult]: ...
    @overload
    async def submit(
        self,
        kind: Literal["thread_naming"],
        request: ThreadNamingRequest | Mapping[str, Any],
        **options: Unpack[Options],
    ) -> Call[ThreadNamingResult]: ...
    @overload
    async def submit(
        self, kind: Literal["agent_turn"], request: AgentTurnRequest | Mapping[str, Any], **options: Unpack[Options]
    ) -> Call[AgentTurnResult]: ...
    @overload
    async def submit(
        self, kind: str, request: BaseModel | Mapping[str, Any], **options: Unpack[Options]
    ) -> Call[Any]: ...
    async def submit(self, kind: str, request: BaseModel | Mapping[str, Any], **options: Unpack[Options]) -> Call[Any]:
        """Open a call and return at once.

        Args:
            kind: `moderation`, `thread_naming` or `agent_turn`.
            request: the kind's request, as its model or as a mapping.
            options: see `bot_client.options.Options`.

        Returns:
            Its handle: await it for the outcome.

        Raises:
            InvalidRequest: request or options break their contract; nothing was queued.
            KeyConflict: the key already belongs to another request.
            Unavailable: Redis did not answer within a second; nothing is known to be queued.
        """
        return await self._submit(kind, request, dict(options))

    async def _submit(self, kind: str, request: BaseModel | Mapping[str, Any], given: dict[str, Any]) -> Call[Any]:
        await self._turn()
        if kind not in KINDS:
            raise InvalidRequest(f"call: kind must be one of {', '.join(KINDS)}.")
        if type(given.get("user_id")) is int:
            given["user_id"] = str(given["user_id"])
        return await self._open(KINDS[kind], KINDS[kind].parse(request), parse_options(given))

    async def moderate(
        self,
        text: str,
        rules: str | None = None,
        *,
        chat_id: Id | None = None,
        chat_title: str | None = None,
        message_id: Id | None = None,
        user_id: Id | None = None,
        author: str | None = None,
        reply_to: str | None = None,
        deadline_s: float | None = None,
        spend: SpendPolicy | None = None,
        local_only: bool = False,
        key: str | None = None,
        only: str | None = None,
        max_cost_microusd: int | None = None,
    ) -> Outcome[ModerationResult]:
        """Judge one message by a group's rules.

        Cancelling the task that awaits this cancels the call.

        Args:
            text: the message, 1 to 8,000 characters.
            rules: of the group; without any, a sound default.
            user_id: who wrote it; also counts for limits by user.
            author: the name of who wrote it.
            reply_to: the text of the message that this one answers.
            deadline_s, spend, local_only, key, only, max_cost_microusd: see `Options`; 30 s unless said otherwise.

        Raises:
            InvalidRequest, KeyConflict, Unavailable: as `submit`.
            CallError: the call ended without an answer; one of its subclasses says why.
        """
        request = KINDS["moderation"].parse(
            {
                "text": text,
                "rules": rules,
                "chat_id": chat_id,
                "chat_title": chat_title,
                "message_id": message_id,
                "user_id": user_id,
                "author": author,
                "reply_to": reply_to,
            }
        )
        return await self._answer(
            "moderation",
            request,
            deadline_s=deadline_s,
            spend=spend,
            local_only=local_only,
            user_id=getattr(request, "user_id", None),
            chat_id=getattr(request, "chat_id", None),
            key=key,
            only=only,
            max_cost_microusd=max_cost_microusd,
        )

    async def name_thread(
        self,
        first_message: str,
        language: str | None = None,
        max_length: int = DEFAULT_LENGTH,
        **options: Unpack[Options],
    ) -> Outcome[ThreadNamingResult]:
        """Name a thread after its first message.

        Cancelling the task that awaits this cancels the call.

        Args:
            first_message: 1 to 8,000 characters.
            language: of the name; without it, the message's own.
            max_length: the longest name, in characters, 3 to 100.
            options: see `Options`; 15 s unless said otherwise.

        Raises:
            InvalidRequest, KeyConflict, Unavailable: as `submit`.
            CallError: the call ended without an answer; one of its subclasses says why.
        """
        request = {"first_message": first_message, "language": language, "max_length": max_length}
        return await self._answer("thread_naming", request, **options)

    @overload
    def agent_turn(
        self,
        messages: Iterable[Message | Mapping[str, Any]],
        system: str | None = None,
        *,
        max_tokens: int | None = None,
        temperature: float | None = None,
        tools: Sequence[str | ToolSpec | Mapping[str, Any]] | None = None,
        max_model_turns: int = DEFAULT_MODEL_TURNS,
        stream: Literal[False] = False,
        **options: Unpack[Options],
    ) -> Coroutine[Any, Any, Outcome[AgentTurnResult]]: ...
    @overload
    def agent_turn(
        self,
        messages: Iterable[Message | Mapping[str, Any]],
        system: str | None = None,
        *,
        max_tokens: int | None = None,
        temperature: float | None = None,
        tools: Sequence[str | ToolSpec | Mapping[str, Any]] | None = None,
        max_model_turns: int = DEFAULT_MODEL_TURNS,
        stream: Literal[True],
        **options: Unpack[Options],
    ) -> AgentStream: ...
    def agent_turn(
        self,
        messages: Iterable[Message | Mapping[str, Any]],
        system: str | None = None,
        *,
        max_tokens: int | None = None,
        temperature: float | None = None,
        tools: Sequence[str | ToolSpec | Mapping[str, Any]] | None = None,
        max_model_turns: int = DEFAULT_MODEL_TURNS,
        stream: bool = False,
        **options: Unpack[Options],
    ) -> Coroutine[Any, Any, Outcome[AgentTurnResult]] | AgentStream:
        """Ask for the assistant's next message in a conversation: await it, or stream it with `async for`.

        Cancelling the task that awaits this cancels the call; so does leaving the `async for`.

        Args:
            messages: oldest first, in the form of the chat completions API; the last is the user's or a tool's.
            system: the system prompt.
            max_tokens: of the answer.
            temperature: from 0 to 2.
            tools: names of tools that the workers have and run, and descriptions of the bot's own: where the model
                calls one of these, the result has `tool_calls`, and `new_messages` for the history that comes next.
            max_model_turns: in which tools may be called, 1 to 32; then it is asked once more, without them.
            stream: return a stream of events, which is not awaited but iterated over.
            options: see `Options`; 120 s unless said otherwise.

        Raises:
            InvalidRequest, KeyConflict, Unavailable: as `submit`.
            CallError: the call ended without an answer; one of its subclasses says why.
        """
        listed = messages if isinstance(messages, str | bytes) else _listed(messages)
        request = {
            "messages": listed,
            "system": system,
            "max_tokens": max_tokens,
            "temperature": temperature,
            "tools": tools,
            "max_model_turns": max_model_turns,
        }
        if stream:
            return AgentStream(self, lambda: self._submit("agent_turn", request, {**options, "stream": True}))
        return self._answer("agent_turn", request, **options)

    async def _answer(
        self, kind: str, request: BaseModel | Mapping[str, Any], **options: Unpack[Options]
    ) -> Outcome[Any]:
        call = await self.submit(kind, request, **options)
        try:
            return await call.result()
        except asyncio.CancelledError:
            await self._give_up(call.id)
            raise

    @abstractmethod
    async def _turn(self) -> None:
        """Wait where too many begin at once."""

    @abstractmethod
    async def _open(self, kind: Kind, request: BaseModel, options: CallOptions) -> Call[Any]: ...

    @abstractmethod
    async def _ended(self, call_id: str, ended: asyncio.Future[End], timeout_s: float | None) -> End: ...

    @abstractmethod
    async def _status(self, call_id: str) -> CallStatus: ...

    @abstractmethod
    async def _give_up(self, call_id: str) -> None:
        """One who waited was cancelled; the call is, when nobody in this process waits any more. Never raises."""


def _listed(messages: Iterable[Any]) -> Any:
    try:
        return [message if isinstance(message, dict) else _plain(message) for message in messages]
    except TypeError:
        return messages  # the contract says what is wrong with it


def _plain(message: Any) -> Any:
    return message.model_dump() if hasattr(message, "model_dump") else message
