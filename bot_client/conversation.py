"""A conversation: its history is kept, and its turns run one after another."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Any, Literal, overload

from bot_client.policy import deadline_ms
from bot_client.replies import reaching_redis
from bot_client.stream import AgentStream
from bot_client.turn_taking import Asked
from bot_client.turn_to_take import TurnToTake
from understudy.contracts.agent_turn import KIND
from understudy.contracts.kind import parse_options
from understudy.errors import InvalidRequest
from understudy.state.conversation import messages_of

if TYPE_CHECKING:
    from collections.abc import Coroutine, Mapping, Sequence
    from typing import Unpack

    from bot_client.interface import Client
    from bot_client.options import Options
    from bot_client.turn_taking import TurnTaking
    from understudy.contracts.agent_turn import AgentTurnResult
    from understudy.contracts.call import Outcome
    from understudy.contracts.tools import ToolSpec
    from understudy.history import Message
    from understudy.state.conversation import Limits

IN_LANGUAGE = "Always answer in this language, whatever language the user writes in: {language}."

_MESSAGE = re.compile(r"messages\[\d+\](\.content)?(?!\.)")


class Conversation:
    """A conversation under an id of the bot's, such as a chat's: `await conversation.say("Hello")`.

    Several may be made for one id, also in several processes: they share the history.
    """

    def __init__(
        self, client: Client, conversation_id: str, system: str | None, language: str | None, limits: Limits
    ) -> None:
        self._client = client
        self.id = conversation_id
        """The bot's own id of it."""
        self._system = "\n\n".join(
            part for part in (system, IN_LANGUAGE.format(language=language) if language else None) if part
        )
        self._limits = limits

    @overload
    def say(
        self,
        text: str,
        *,
        stream: Literal[False] = False,
        name: str | None = None,
        tools: Sequence[str | ToolSpec | Mapping[str, Any]] | None = None,
        max_tokens: int | None = None,
        temperature: float | None = None,
        **options: Unpack[Options],
    ) -> Coroutine[Any, Any, Outcome[AgentTurnResult]]: ...
    @overload
    def say(
        self,
        text: str,
        *,
        stream: Literal[True],
        name: str | None = None,
        tools: Sequence[str | ToolSpec | Mapping[str, Any]] | None = None,
        max_tokens: int | None = None,
        temperature: float | None = None,
        **options: Unpack[Options],
    ) -> AgentStream: ...
    def say(
        self,
        text: str,
        *,
        stream: bool = False,
        name: str | None = None,
        tools: Sequence[str | ToolSpec | Mapping[str, Any]] | None = None,
        max_tokens: int | None = None,
        temperature: float | None = None,
        **options: Unpack[Options],
    ) -> Coroutine[Any, Any, Outcome[AgentTurnResult]] | AgentStream:
        """Say something and get the assistant's answer: await it, or stream it with `async for`.

        It waits for the conversation's earlier turns. Question and answer go into the history together, once the turn
        is answered; a turn that fails or is cancelled leaves nothing there.

        Args:
            text: the user's message.
            stream: return a stream of events, which is not awaited but iterated over.
            name: who speaks, where several users do.
            tools: names of tools that the workers have, and descriptions of the bot's own.
            max_tokens, temperature: of the answer, as in `Client.agent_turn`.
            options: see `Options`. The deadline counts from now, the waiting for earlier turns included. With a `key`,
                a message that comes twice is answered once, as long as it stands in the history.

        Raises:
            InvalidRequest, Unavailable: as `Client.submit`.
            CallError: the turn ended without an answer. DeadlineExceeded: perhaps it was never begun, for the earlier
                turns took all its time.
        """
        message: dict[str, Any] = {"role": "user", "content": text}
        if name is not None:
            message["name"] = name
        more = {"tools": tools, "max_tokens": max_tokens, "temperature": temperature}
        return self._asked([message], [message], more, dict(options), stream=stream)

    @overload
    def give_results(
        self,
        results: Mapping[str, str],
        *,
        stream: Literal[False] = False,
        tools: Sequence[str | ToolSpec | Mapping[str, Any]] | None = None,
        **options: Unpack[Options],
    ) -> Coroutine[Any, Any, Outcome[AgentTurnResult]]: ...
    @overload
    def give_results(
        self,
        results: Mapping[str, str],
        *,
        stream: Literal[True],
        tools: Sequence[str | ToolSpec | Mapping[str, Any]] | None = None,
        **options: Unpack[Options],
    ) -> AgentStream: ...
    def give_results(
        self,
        results: Mapping[str, str],
        *,
        stream: bool = False,
        tools: Sequence[str | ToolSpec | Mapping[str, Any]] | None = None,
        **options: Unpack[Options],
    ) -> Coroutine[Any, Any, Outcome[AgentTurnResult]] | AgentStream:
        """Go on after an answer with `tool_calls`: what the bot's own tools returned, by the id of the tool call.

        A call that has no result here is told to the model as not run; so are all of them where the bot says something
        else first.
        """
        said = [{"role": "tool", "tool_call_id": call, "content": content} for call, content in dict(results).items()]
        calls = [{"id": call, "function": {"name": "tool", "arguments": "{}"}} for call in dict(results)]
        probe: list[dict[str, Any]] = [{"role": "assistant", "content": None, "tool_calls": calls}, *said]
        return self._asked(said, probe, {"tools": tools}, dict(options), stream=stream)

    async def history(self) -> list[Message]:
        """The messages that are kept, oldest first, in the form of the chat completions API.

        Raises:
            Unavailable: Redis cannot be reached.
        """
        with reaching_redis():
            return self._limits.trim(messages_of(await self._taking.trip(lambda store: store.history(self.id))))

    async def clear(self) -> None:
        """Forget the history; a turn that is under way is answered, and not kept either.

        Raises:
            Unavailable: Redis cannot be reached.
        """
        with reaching_redis():
            await self._taking.trip(lambda store: store.clear(self.id))

    def _asked(
        self,
        said: list[dict[str, Any]],
        probe: list[dict[str, Any]],
        more: dict[str, Any],
        options: dict[str, Any],
        *,
        stream: bool,
    ) -> Coroutine[Any, Any, Outcome[AgentTurnResult]] | AgentStream:
        if stream:
            return TurnStream(self._client, lambda: self._turn(said, probe, more, {**options, "stream": True}))
        return self._answered(said, probe, more, options)

    async def _answered(self, *args: Any) -> Outcome[AgentTurnResult]:
        call = await self._turn(*args).begin()
        try:
            return await call.result()
        except asyncio.CancelledError:
            await self._client._give_up(call.id)  # noqa: SLF001 - a part of the client
            raise

    def _turn(
        self, said: list[dict[str, Any]], probe: list[dict[str, Any]], more: dict[str, Any], options: dict[str, Any]
    ) -> TurnToTake:
        """A turn whose parts are checked: nothing waits for what cannot be asked."""
        request = {"system": self._system or None, **{name: value for name, value in more.items() if value is not None}}
        _check(request, probe)
        checked = parse_options(options)
        options.pop("key", None)
        asked = Asked(
            self.id, tuple(said), request, options, self._limits, deadline_ms(KIND, checked) / 1000, checked.key or ""
        )
        return TurnToTake(self._taking, asked)

    @property
    def _taking(self) -> TurnTaking:
        taking: TurnTaking | None = getattr(self._client, "_taking", None)
        if taking is None or taking.closed:
            raise RuntimeError("Use the client within `async with`.")
        return taking


class TurnStream(AgentStream):
    """The stream of a turn; cancelled while it waits for earlier turns, it waits no more."""

    def __init__(self, client: Client, make: Any) -> None:
        super().__init__(client, self._begin)
        self._make = make
        self._turn: TurnToTake | None = None

    async def _begin(self) -> Any:
        self._turn = self._make()
        return await self._turn.begin()

    async def cancel(self) -> bool:
        """Give the turn up; see `AgentStream.cancel`."""
        if self._turn is not None:
            self._turn.withdraw()
        return await super().cancel()


def _check(request: dict[str, Any], messages: list[dict[str, Any]]) -> None:
    """Refuse what no turn can ask, in the words of who says it."""
    try:
        KIND.parse({**request, "messages": messages})
        return
    except InvalidRequest as error:
        sentence = str(error)
    word = "text" if messages[-1]["role"] == "user" else "results"
    sentence = _MESSAGE.sub(word, sentence.replace("messages[0].name", "name"))
    raise InvalidRequest(sentence.replace(f"{KIND.name}:", "conversation:", 1))
