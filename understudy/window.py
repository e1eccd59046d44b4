"""What of an agent turn has to fit a model's context window, and what is trimmed so that it does; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from understudy.contracts.agent_turn import AgentTurnRequest
from understudy.contracts.tools import ToolSpec
from understudy.history import newest, tokens_of, tokens_of_tools, trimmed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pydantic import BaseModel

    from understudy.history import Message

ANSWER_TOKENS = 1_024
"""Room that a trimmed history leaves for an answer without a limit of its own; never more than half of the window."""

SHORT_ANSWER_TOKENS = 256
"""A prompt that leaves less room than this does not fit: there would be no answer worth the name."""


def least_tokens(
    system: str | None, messages: Sequence[Message], tools: Sequence[Any] = (), max_tokens: int | None = None
) -> int:
    """About how large a window must be at least: for the system prompt, tools, newest exchange and a short answer."""
    fixed = tokens_of({"role": "system", "content": system}) if system else 0
    answer = min(max_tokens or SHORT_ANSWER_TOKENS, SHORT_ANSWER_TOKENS)
    return fixed + tokens_of_tools(tools) + sum(map(tokens_of, newest(messages))) + answer


def tokens_needed(request: BaseModel) -> int:
    """As `least_tokens`, of a request; 0 of a kind whose prompt is never trimmed.

    Of tools that the workers have only the names are known here: what they add is seen by the worker.
    """
    if not isinstance(request, AgentTurnRequest):
        return 0
    messages = [message.model_dump(mode="json", exclude_none=True) for message in request.messages]
    tools = [tool.model_dump(mode="json") for tool in request.tools or () if isinstance(tool, ToolSpec)]
    return least_tokens(request.system, messages, tools, request.max_tokens)


def fitting(
    messages: Sequence[Message], window: int, *, tools: Sequence[Any] = (), max_tokens: int | None = None
) -> list[Message] | None:
    """The messages, without the oldest whole exchanges that would not fit; None where not even the newest one does.

    Args:
        messages: with the system prompt, if there is one, as the first.
        window: of the model, in tokens.
        tools: that are described to the model.
        max_tokens: of the answer.
    """
    head = list(messages[:1]) if messages[0]["role"] == "system" else []
    history = messages[len(head) :]
    system = str(head[0]["content"]) if head else None
    if least_tokens(system, history, tools, max_tokens) >= window:
        return None
    room = min(max_tokens or ANSWER_TOKENS, window // 2)
    fixed = sum(map(tokens_of, head)) + tokens_of_tools(tools)
    return [*head, *trimmed(history, max_tokens=window - room - fixed)]
