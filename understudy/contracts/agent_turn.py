"""Agent turn: a conversation in, the assistant's next message out."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, Field, field_validator, model_validator

from understudy.contracts.fields import CONTRACT
from understudy.contracts.kind import Kind
from understudy.contracts.text import is_visible
from understudy.contracts.tools import MAX_TOOLS, AnyTool, ToolSpec, offer_fault

MAX_MESSAGES = 500
MAX_CONTENT = 100_000
"""Characters of one message."""
MAX_CONVERSATION = 400_000
"""Characters of the whole: more than 128,000 tokens hold in most languages, and all of it lies in Redis."""
MAX_SYSTEM = 32_000
MAX_TOOL_CALLS = 64
"""Of one assistant message."""
MAX_TOKENS = 128_000
"""The longest answer that any provider gives."""
DEFAULT_MODEL_TURNS = 8
MAX_MODEL_TURNS = 32

_Token = Annotated[str, Field(min_length=1, max_length=200)]


class Function(BaseModel):
    """Which function a tool call names, with its arguments as JSON text."""

    model_config = CONTRACT

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]
    arguments: Annotated[str, Field(max_length=MAX_CONTENT)]


class ToolCall(BaseModel):
    """A tool that an assistant message asked for, in the form of the chat completions API."""

    model_config = CONTRACT

    id: _Token
    type: Literal["function"] = "function"
    function: Function


class Message(BaseModel):
    """One message of the history, in the form of the chat completions API."""

    model_config = CONTRACT

    role: Literal["user", "assistant", "tool"]
    content: Annotated[str, Field(max_length=MAX_CONTENT)] | None = None
    """Needed of users and tools; of the assistant, unless it calls tools."""
    name: Annotated[str, Field(pattern=r"^[^\s<|\\/>]{1,64}$")] | None = None
    """Who speaks, where several users do."""
    tool_calls: Annotated[tuple[ToolCall, ...], Field(max_length=MAX_TOOL_CALLS)] | None = None
    """Of an assistant message only."""
    tool_call_id: _Token | None = None
    """Of a tool message only: the call that it answers."""

    @field_validator("role", mode="before")
    @classmethod
    def _is_no_system_message(cls, role: object) -> object:
        if role in ("system", "developer"):
            message = "must be user, assistant or tool; a system prompt goes into the field system of the request"
            raise ValueError(message)
        return role

    @model_validator(mode="after")
    def _fits_its_role(self) -> Self:
        if fault := self._fault():
            raise ValueError(fault)
        return self

    def _fault(self) -> str | None:
        if self.tool_calls and self.role != "assistant":
            return "has tool_calls, which only an assistant message may have"
        if self.role == "tool" and self.tool_call_id is None:
            return "is a tool message without tool_call_id"
        if self.role != "tool" and self.tool_call_id is not None:
            return "has tool_call_id, which only a tool message may have"
        if self.role == "tool" and self.content is None:
            return "is a tool message without content"
        has_text = self.content is not None and is_visible(self.content)
        if self.role != "tool" and not has_text and not self.tool_calls:
            return "has no visible content; at least 1 character is needed"
        return None


class AgentTurnRequest(BaseModel):
    """The conversation so far, and the limits of the answer."""

    model_config = CONTRACT

    system: Annotated[str, Field(max_length=MAX_SYSTEM)] | None = None
    messages: Annotated[tuple[Message, ...], Field(min_length=1, max_length=MAX_MESSAGES)]
    """Oldest first; the last one is the user's or a tool's."""
    max_tokens: Annotated[int, Field(strict=True, ge=1, le=MAX_TOKENS)] | None = None
    """Of the answer. One that is cut off there counts as answered, with finish reason `length`."""
    temperature: Annotated[float, Field(strict=True, ge=0, le=2)] | None = None
    tools: Annotated[tuple[AnyTool, ...], Field(max_length=MAX_TOOLS)] | None = None
    """Names of tools that the workers have, and descriptions of the bot's own."""
    max_model_turns: Annotated[int, Field(strict=True, ge=1, le=MAX_MODEL_TURNS)] = DEFAULT_MODEL_TURNS
    """In which the model may call tools; then it is asked once more, without them."""

    @field_validator("tools")
    @classmethod
    def _is_offer(cls, tools: tuple[str | ToolSpec, ...] | None) -> tuple[str | ToolSpec, ...] | None:
        if tools and (fault := offer_fault(tools)):
            raise ValueError(fault)
        return tools or None

    @field_validator("messages")
    @classmethod
    def _is_conversation(cls, messages: tuple[Message, ...]) -> tuple[Message, ...]:
        if messages[-1].role == "assistant":
            message = "must end with a user or tool message, not with the assistant's"
            raise ValueError(message)
        if fault := _tool_fault(messages):
            raise ValueError(fault)
        length = sum(map(_length, messages))
        if length > MAX_CONVERSATION:
            message = f"have {length:,} characters together; at most {MAX_CONVERSATION:,} are allowed"
            raise ValueError(message)
        return messages


def _tool_fault(messages: tuple[Message, ...]) -> str | None:
    """What is wrong with the order of tool calls and their results: providers refuse such a history outright."""
    waiting: set[str] = set()
    for index, message in enumerate(messages):
        if message.role == "tool":
            if message.tool_call_id not in waiting:
                return f"are out of order: [{index}] answers no tool call of the assistant message before it"
            waiting.discard(message.tool_call_id)
            continue
        if waiting:
            return f"are out of order: [{index}] comes before all tool calls of the assistant were answered"
        ids = [call.id for call in message.tool_calls or ()]
        waiting = set(ids)
        if len(waiting) < len(ids):
            return f"are out of order: [{index}] has two tool calls with the same id"
    return "end before every tool call was answered" if waiting else None


def _length(message: Message) -> int:
    return len(message.content or "") + sum(len(call.function.arguments) for call in message.tool_calls or ())


class AgentTurnResult(BaseModel):
    """The assistant's next message. What it took stands in the outcome's `usage`."""

    model_config = CONTRACT

    text: str
    """Empty only with `tool_calls`; with them, what the model said before it called."""
    finish_reason: Literal["stop", "length", "tool_calls"]
    """`length`: cut off at the request's own `max_tokens`. `tool_calls`: the bot is to run those, and to ask again."""
    tool_calls: tuple[ToolCall, ...] = ()
    """Of the bot's own tools, checked to hold a JSON object; the last message of `steps` that is the assistant's has
    them too, beside those that the workers have answered."""
    steps: tuple[Message, ...] = ()
    """Calls of tools and their results, up to the final text."""

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not self.text and not self.tool_calls:
            message = "has neither text nor tool_calls"
            raise ValueError(message)
        return self

    @property
    def new_messages(self) -> tuple[Message, ...]:
        """What the history gets: the steps, and the final text. After `tool_calls` the bot adds its tools' results."""
        return self.steps if self.tool_calls else (*self.steps, Message(role="assistant", content=self.text))


KIND = Kind("agent_turn", AgentTurnRequest, AgentTurnResult, deadline_s=120.0)
