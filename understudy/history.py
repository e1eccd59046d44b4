"""A conversation's history as exchanges: which messages belong together, and which of them fit; pure.

An exchange is a user's message and all that follows it up to the next one: tool calls and their results stay together.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

from understudy.tokens import estimate_tokens

if TYPE_CHECKING:
    from collections.abc import Sequence

Message: TypeAlias = Mapping[str, Any]
"""In the form of the chat completions API."""

FRAME_TOKENS = 4
"""What role and delimiters of a message take, by OpenAI's own count for its chat models, and nearly so in others."""

UNANSWERED = "There is no result: the conversation went on before this tool was run."


def tokens_of(message: Message) -> int:
    """About how many tokens a message takes."""
    texts = [str(message.get("content") or ""), str(message.get("name") or "")]
    for call in message.get("tool_calls") or ():
        texts += [str(call["function"]["name"]), str(call["function"]["arguments"])]
    return FRAME_TOKENS + sum(map(estimate_tokens, texts))


def tokens_of_tools(tools: Sequence[Any]) -> int:
    """About how many tokens the descriptions of tools take."""
    return estimate_tokens(json.dumps(list(tools), ensure_ascii=False)) if tools else 0


def exchanges(messages: Sequence[Message]) -> list[list[Message]]:
    """The messages by exchange; what comes before the first user's message belongs to none and is left out."""
    grouped: list[list[Message]] = []
    for message in messages:
        if message["role"] == "user":
            grouped.append([message])
        elif grouped:
            grouped[-1].append(message)
    return grouped


def newest(messages: Sequence[Message]) -> list[Message]:
    """The last exchange, which is never left out; all of it where no user speaks in it."""
    grouped = exchanges(messages)
    return grouped[-1] if grouped else list(messages)


def trimmed(
    messages: Sequence[Message],
    *,
    max_tokens: int | None = None,
    max_messages: int | None = None,
    max_chars: int | None = None,
) -> list[Message]:
    """The newest whole exchanges that fit within the limits together; the last one stays, however long it is."""
    kept: list[Message] = []
    tokens = chars = 0
    grouped = exchanges(messages) or [list(messages)]
    for exchange in reversed(grouped):
        tokens += sum(map(tokens_of, exchange))
        chars += sum(map(_chars_of, exchange))
        over = (
            (max_tokens is not None and tokens > max_tokens)
            or (max_messages is not None and len(kept) + len(exchange) > max_messages)
            or (max_chars is not None and chars > max_chars)
        )
        if kept and over:
            break
        kept = [*exchange, *kept]
    return kept


def completed(messages: Sequence[Message]) -> list[Message]:
    """The messages with a result for each tool call: one that was never answered would make providers refuse them."""
    complete: list[Message] = []
    waiting: list[str] = []
    for message in messages:
        if message["role"] == "tool":
            if message["tool_call_id"] not in waiting:
                continue  # its call was trimmed or cleared away
            waiting.remove(message["tool_call_id"])
        else:
            complete += [_unanswered(call_id) for call_id in waiting]
            waiting = [call["id"] for call in message.get("tool_calls") or ()]
        complete.append(message)
    return [*complete, *(_unanswered(call_id) for call_id in waiting)]


def open_calls(messages: Sequence[Message]) -> set[str]:
    """The ids of the tool calls at the end that have no result yet."""
    waiting: set[str] = set()
    for message in messages:
        if message["role"] == "tool":
            waiting.discard(message["tool_call_id"])
        else:
            waiting = {call["id"] for call in message.get("tool_calls") or ()}
    return waiting


def _unanswered(call_id: str) -> Message:
    return {"role": "tool", "tool_call_id": call_id, "content": UNANSWERED}


def _chars_of(message: Message) -> int:
    """As the contract of an agent turn counts them."""
    calls = message.get("tool_calls") or ()
    return len(message.get("content") or "") + sum(len(call["function"]["arguments"]) for call in calls)
