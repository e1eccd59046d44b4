"""What every client has for conversations."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, cast

from pydantic import BaseModel, BeforeValidator, Field, field_validator

from bot_client.conversation import Conversation
from understudy.contracts.agent_turn import MAX_SYSTEM
from understudy.contracts.fields import CONTRACT, MAX_LABEL, number_as_text
from understudy.contracts.rejection import validated
from understudy.contracts.text import is_visible, one_line

if TYPE_CHECKING:
    from bot_client.interface import Client
    from bot_client.options import Id
    from bot_client.turn_taking import TurnTaking
    from understudy.state.conversation import Limits

MAX_LANGUAGE = 60
MAX_KEPT = 400
"""Messages; a request takes 500, the newest exchange among them."""
MAX_KEPT_TOKENS = 1_000_000


class ConversationSpec(BaseModel):
    """What `Client.conversation` takes."""

    model_config = CONTRACT

    id: Annotated[Annotated[str, Field(min_length=1, max_length=MAX_LABEL)], BeforeValidator(number_as_text)]
    system: Annotated[str, Field(max_length=MAX_SYSTEM)] | None = None
    language: Annotated[str, Field(min_length=1, max_length=MAX_LANGUAGE)] | None = None
    max_messages: Annotated[int, Field(strict=True, ge=2, le=MAX_KEPT)] | None = None
    max_tokens: Annotated[int, Field(strict=True, ge=1, le=MAX_KEPT_TOKENS)] | None = None

    @field_validator("id", "language")
    @classmethod
    def _is_line(cls, text: str | None) -> str | None:
        if text is not None and (not is_visible(text) or one_line(text) != text):
            message = "must be one line of visible text"
            raise ValueError(message)
        return text


class Conversing:
    """Gives conversations."""

    _taking: TurnTaking
    """Of a client that was started."""

    _limits: Limits
    """Of conversations that name none of their own."""

    def conversation(
        self,
        id: Id,  # noqa: A002 - its name everywhere else
        *,
        system: str | None = None,
        language: str | None = None,
        max_messages: int | None = None,
        max_tokens: int | None = None,
    ) -> Conversation:
        """A conversation whose history is kept, such as one chat's or one thread's.

        Args:
            id: of the bot's choice, 1 to 200 characters.
            system: the system prompt, of its turns from now on; it is no part of the history.
            language: in which to answer, whatever language the user writes in.
            max_messages, max_tokens: how much of the history is kept, in whole exchanges; without, as the settings say.

        Raises:
            InvalidRequest: a limit is broken; the message names it.
        """
        given = {
            "id": id, "system": system, "language": language, "max_messages": max_messages, "max_tokens": max_tokens,
        }  # fmt: skip
        spec = validated(ConversationSpec, given, "conversation")
        limits = self._limits
        if spec.max_messages is not None:
            limits = replace(limits, messages=spec.max_messages)
        if spec.max_tokens is not None:
            limits = replace(limits, tokens=spec.max_tokens)
        return Conversation(cast("Client", self), spec.id, spec.system, spec.language, limits)
