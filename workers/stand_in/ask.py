"""A chat request, as far as a stand-in needs to understand it."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from workers.stand_in.tool_talk import NONE as NO_TALK
from workers.stand_in.tool_talk import ToolTalk, read_talk

if TYPE_CHECKING:
    from collections.abc import Mapping

KINDS_BY_SCHEMA: Final = frozenset({"moderation", "thread_naming"})
TEXT: Final = "text"
PROBE: Final = "probe"

# A prompt frames what a user wrote between marks such as <message-8f2c>, as a JSON object with the field "text".
_FRAME: Final = re.compile(r"<([\w-]*message[\w-]*)[^<>]*>(.*)</\1\s*>", re.DOTALL)


class AskError(ValueError):
    """A request that no provider would take: one sentence."""


@dataclass(frozen=True, slots=True)
class Ask:
    """What was asked."""

    model: str
    kind: str
    """`moderation`, `thread_naming` or `text`."""
    newest: str
    """The newest user message, whole."""
    subject: str
    """What the answer is about: the text in the newest frame; without one, of a text the newest user message, else the
    first."""
    messages: int
    prompt_tokens: int
    max_tokens: int | None
    stream: bool
    include_usage: bool
    longest_name: int
    """For thread naming: the longest allowed, in characters."""
    fingerprint: str
    """SHA-256 of the messages."""
    talk: ToolTalk = NO_TALK

    def holds(self, text: str) -> bool:
        """Whether the newest user message or the subject contains this text.

        The subject as well, since a frame escapes some characters, and a question asked again has another newest one.
        """
        return text in self.newest or text in self.subject


def read_ask(raw: bytes) -> Ask:
    """Understand the body of a chat request.

    Raises:
        AskError: it is not JSON, or lacks what the API requires.
    """
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError):
        raise AskError("the body must be JSON") from None
    if not isinstance(body, dict):
        raise AskError("the body must be a JSON object")
    model, messages = body.get("model"), body.get("messages")
    if not isinstance(model, str) or not model:
        raise AskError("model must be a text")
    if not isinstance(messages, list) or not messages or not all(isinstance(message, dict) for message in messages):
        raise AskError("messages must be a list of at least one object")
    max_tokens = body.get("max_completion_tokens", body.get("max_tokens"))
    if max_tokens is not None and (not isinstance(max_tokens, int) or max_tokens < 1):
        raise AskError("max_tokens must be a whole number of at least 1")
    written = [_text_of(message.get("content")) for message in messages if message.get("role") == "user"]
    options = body.get("stream_options")
    schema = _schema(body.get("response_format"))
    name = schema.get("name")
    kind = name if isinstance(name, str) and name in KINDS_BY_SCHEMA else TEXT
    return Ask(
        model=model,
        kind=kind,
        newest=written[-1] if written else "",
        subject=_subject(written, newest=kind == TEXT),
        messages=len(messages),
        prompt_tokens=max(1, len(_canonical(messages)) // 4),
        max_tokens=max_tokens,
        stream=body.get("stream") is True,
        include_usage=isinstance(options, dict) and options.get("include_usage") is True,
        longest_name=_longest_name(schema),
        fingerprint=fingerprint_of(messages),
        talk=_talk(body.get("tools"), messages),
    )


def _talk(tools: object, messages: list[dict[str, Any]]) -> ToolTalk:
    try:
        return read_talk(tools, messages)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise AskError(str(error) if type(error) is ValueError else "tools or their calls have another form") from None


def fingerprint_of(content: object) -> str:
    """SHA-256 of what was asked."""
    return hashlib.sha256(_canonical(content)).hexdigest()


def _canonical(content: object) -> bytes:
    return json.dumps(content, sort_keys=True, separators=(",", ":")).encode()


def _text_of(content: object) -> str:
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        parts = [part.get("text") for part in content if isinstance(part, dict)]
        return "\n".join(part for part in parts if isinstance(part, str))
    return ""


def _subject(written: list[str], *, newest: bool) -> str:
    # A question asked again ends with a message about the fault, which is not what is to be judged.
    for text in reversed(written):
        framed = _FRAME.search(text)
        if framed:
            return _framed_text(framed.group(2))
    return written[-1 if newest else 0].strip() if written else ""


def _framed_text(inside: str) -> str:
    try:
        fields = json.loads(inside)
    except (ValueError, RecursionError):
        return inside.strip()
    text = fields.get("text") if isinstance(fields, dict) else None
    return text if isinstance(text, str) else inside.strip()


def _schema(response_format: object) -> Mapping[str, Any]:
    schema = response_format.get("json_schema") if isinstance(response_format, dict) else None
    return schema if isinstance(schema, dict) else {}


def _longest_name(schema: Mapping[str, Any], default: int = 20) -> int:
    node: object = schema
    for key in ("schema", "properties", "name", "maxLength"):
        node = node.get(key) if isinstance(node, dict) else None
    return node if isinstance(node, int) and node > 0 else default
