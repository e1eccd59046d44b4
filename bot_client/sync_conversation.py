"""A conversation for a script without an event loop of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Unpack

    from bot_client.conversation import Conversation as AsyncConversation
    from bot_client.options import Options
    from bot_client.sync import Understudy
    from understudy.contracts.agent_turn import AgentTurnResult
    from understudy.contracts.call import Outcome
    from understudy.contracts.tools import ToolSpec
    from understudy.history import Message


class Conversation:
    """Blocks; otherwise as `bot_client.conversation.Conversation`, without streams."""

    def __init__(self, owner: Understudy, conversation: AsyncConversation) -> None:
        self._owner = owner
        self._conversation = conversation
        self.id = conversation.id

    def say(
        self,
        text: str,
        *,
        name: str | None = None,
        tools: Sequence[str | ToolSpec | Mapping[str, Any]] | None = None,
        max_tokens: int | None = None,
        temperature: float | None = None,
        **options: Unpack[Options],
    ) -> Outcome[AgentTurnResult]:
        """Say something and wait for the answer."""
        turn = self._conversation.say(
            text, name=name, tools=tools, max_tokens=max_tokens, temperature=temperature, **options
        )
        return self._owner.run(turn)

    def give_results(
        self,
        results: Mapping[str, str],
        *,
        tools: Sequence[str | ToolSpec | Mapping[str, Any]] | None = None,
        **options: Unpack[Options],
    ) -> Outcome[AgentTurnResult]:
        """Go on with what the bot's own tools returned."""
        return self._owner.run(self._conversation.give_results(results, tools=tools, **options))

    def history(self) -> list[Message]:
        """The messages that are kept, oldest first."""
        return self._owner.run(self._conversation.history())

    def clear(self) -> None:
        """Forget the history."""
        self._owner.run(self._conversation.clear())
