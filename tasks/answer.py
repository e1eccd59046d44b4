"""What is alike in the answers of all kinds: when there is none, the JSON in it, and how to ask again."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from understudy.contracts.text import strip_reasoning
from workers.unusable import Refused, Unusable

if TYPE_CHECKING:
    from workers.kind_work import Prompt, Reply

MAX_TRIES = 50
"""Opening braces from which JSON is tried: prose has few, and a hostile answer must not cost a worker its time."""

MAX_QUOTED = 4_000
"""Characters of an unusable answer that are shown to the model again; a runaway one would fill the context."""


def settled_text(reply: Reply) -> str:
    """The answer itself, without reasoning.

    Raises:
        Refused: the model or a content filter declined.
        Unusable: the answer was cut off, or there is none.
    """
    if reply.finish_reason == "content_filter":
        raise Refused("content_filter", "The provider's content filter stopped the answer.")
    if reply.refusal:
        raise Refused("refusal", "The model declined to answer.")
    if reply.finish_reason == "length":
        raise Unusable("token_limit", "The answer was cut off at the token limit.")
    text = strip_reasoning(reply.text)
    if not text:
        if reply.tool_calls:
            raise Unusable("wrong_schema", "The answer calls a tool, but none was offered.")
        raise Unusable("empty", "The answer was empty.")
    return text


def json_objects(text: str) -> list[tuple[str, dict[str, Any]]]:
    """Every JSON object in a text that stands in no other, with its source; prose and code fences are passed over."""
    decoder = json.JSONDecoder()
    found: list[tuple[str, dict[str, Any]]] = []
    start = text.find("{")
    for _ in range(MAX_TRIES):
        if start < 0:
            break
        try:
            value, end = decoder.raw_decode(text, start)
        except (ValueError, RecursionError):
            end = start + 1
        else:
            found.append((text[start:end], value))
        start = text.find("{", end)
    return found


def reask(prompt: Prompt, reply: Reply, fault: str) -> Prompt:
    """The prompt once more, with the unusable answer and what is wrong with it."""
    said = strip_reasoning(reply.text)[:MAX_QUOTED]
    # An assistant message without content is refused by some servers.
    answered = [{"role": "assistant", "content": said}] if said else []
    form = " Answer with the JSON object alone." if prompt.response_format else ""
    again = {"role": "user", "content": f"Your answer cannot be used. {fault} Answer again.{form}"}
    # what it quotes is no new exchange: the question before it must not be trimmed away
    return replace(prompt, messages=[*prompt.messages, *answered, again], trims=False)


def json_schema(name: str, properties: dict[str, Any]) -> dict[str, Any]:
    """A response format that holds the answer to an object with exactly these properties.

    Uses only what the strict mode of OpenAI and the grammars of Ollama both know.
    """
    schema = {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
    return {"type": "json_schema", "json_schema": {"name": name, "strict": True, "schema": schema}}
