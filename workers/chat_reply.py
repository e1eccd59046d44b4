"""A provider's reply, and how it is put together from the pieces of a stream."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pydantic_core import from_json

from understudy.contracts.call import Usage
from workers.failures import Row, row

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_BYTES = 4 * 2**20
"""Of one reply: far above any token limit, so that a provider gone mad cannot fill the memory."""


@dataclass(frozen=True)
class Reply:
    """What a provider answered, as it came: unread and unchecked.

    Args:
        tool_calls: in the form of the chat completions API; `arguments` is JSON as text, unchecked.
        model: the provider's word for it; ours where it names none.
        ms: from the first request to the end of the stream; first_byte_ms: to the first chunk.
        requests: how many HTTP requests were sent for it.
    """

    text: str
    finish_reason: str | None
    refusal: str | None
    tool_calls: tuple[dict[str, Any], ...]
    usage: Usage
    model: str
    ms: int
    first_byte_ms: int
    requests: int

    @property
    def row(self) -> Row | None:
        """The row of the failure table that the shape of the reply alone gives; None where the text must be read."""
        if self.finish_reason == "content_filter":
            return row("content_filter")
        if self.refusal:
            return row("refusal")
        if self.finish_reason == "length":
            return row("token_limit")
        return None if self.text.strip() or self.tool_calls else row("empty")


class Malformed(Exception):
    """The stream holds what is no chunk of a completion."""


class StreamError(Exception):
    """The provider reported an error within the stream.

    Args:
        status: the HTTP status that it would have been.
        codes: the error's `code` and `type`.
        message: what the provider wrote; it may quote the prompt, so it goes nowhere.
    """

    def __init__(self, status: int, codes: tuple[str, ...], message: str) -> None:
        super().__init__(status)
        self.status = status
        self.codes = codes
        self.message = message


class EventLines:
    """Server-sent events out of bytes cut anywhere: `feed` gives the data of each event that is complete."""

    def __init__(self) -> None:
        self._rest = b""
        self._data: list[bytes] = []
        self._seen = 0

    def feed(self, piece: bytes) -> Iterator[bytes]:
        """The data of the events that this piece completes."""
        self._seen += len(piece)
        if self._seen > MAX_BYTES:
            raise Malformed("longer than any answer")
        *lines, self._rest = (self._rest + piece).split(b"\n")
        for line in lines:
            yield from self._line(line.removesuffix(b"\r"))

    def end(self) -> Iterator[bytes]:
        """The data of a last event that no blank line follows."""
        yield from self._line(self._rest.removesuffix(b"\r"))
        yield from self._line(b"")
        self._rest = b""

    def _line(self, line: bytes) -> Iterator[bytes]:
        if line.startswith(b"data:"):
            self._data.append(line[5:].removeprefix(b" "))
        elif not line and self._data:
            yield b"\n".join(self._data)
            self._data.clear()


@dataclass
class Gathering:
    """A reply in the making."""

    texts: list[str] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)
    calls: dict[int, dict[str, str]] = field(default_factory=dict)
    finish_reason: str | None = None
    usage: Usage = field(default_factory=Usage)
    model: str | None = None
    done: bool = False
    """`[DONE]` came, or the answer was sent whole."""
    half: str = ""
    """Of a character that the next chunk completes."""

    @property
    def partial(self) -> bool:
        """Something of the answer has arrived."""
        return bool(self.texts or self.refusals or self.calls)

    def event(self, data: bytes) -> str:
        """Takes in one event's data and gives the text that it added.

        Raises:
            Malformed: it is no chunk.
            StreamError: it is an error.
        """
        if data.strip() == b"[DONE]":
            self.done = True
            return ""
        return self._chunk(_object(data), "delta")

    def whole(self, body: bytes) -> str:
        """Takes in an answer that was sent in one piece, not streamed, and gives its text."""
        text = self._chunk(_object(body), "message")
        if self.finish_reason is None and not self.partial:
            raise Malformed("not a completion")
        self.finish_reason = self.finish_reason or "stop"
        self.done = True
        return text

    def _chunk(self, chunk: dict[str, Any], part: str) -> str:
        if chunk.get("error"):
            raise _stream_error(chunk["error"])
        if isinstance(chunk.get("model"), str):
            self.model = self.model or chunk["model"]
        if isinstance(chunk.get("usage"), dict):
            self.usage = _usage(chunk["usage"])
        choices = chunk.get("choices", [])
        if not isinstance(choices, list):
            raise Malformed("choices is not a list")
        added = ""
        for choice in choices:
            if not isinstance(choice, dict):
                raise Malformed("a choice is not an object")
            if choice.get("index") in (None, 0):
                added += self._choice(choice, choice.get(part) or choice.get("message") or choice.get("delta") or {})
        return added

    def _choice(self, choice: dict[str, Any], message: object) -> str:
        if not isinstance(message, dict):
            raise Malformed("a message is not an object")
        if isinstance(choice.get("finish_reason"), str):
            self.finish_reason = choice["finish_reason"]
        if isinstance(message.get("refusal"), str) and message["refusal"]:
            self.refusals.append(message["refusal"])
        calls = message.get("tool_calls")
        for position, call in enumerate(calls if isinstance(calls, list) else ()):
            self._tool_call(position, call)
        text = message.get("content")
        if not isinstance(text, str) or not text:
            return ""
        text, self.half = _whole_characters(self.half + text)
        if text:
            self.texts.append(text)
        return text

    def _tool_call(self, position: int, call: object) -> None:
        if not isinstance(call, dict):
            raise Malformed("a tool call is not an object")
        index = call["index"] if isinstance(call.get("index"), int) else position
        known = self.calls.setdefault(index, {"id": "", "name": "", "arguments": ""})
        function = call.get("function")
        function = function if isinstance(function, dict) else {}
        for name, value in (("id", call.get("id")), ("name", function.get("name"))):
            if isinstance(value, str) and value:
                known[name] = value
        arguments = function.get("arguments")
        if isinstance(arguments, str):
            known["arguments"] += arguments

    def reply(self, *, model: str, ms: int, first_byte_ms: int, requests: int) -> Reply:
        """The finished reply."""
        return Reply(
            text="".join(self.texts),
            finish_reason=self.finish_reason,
            refusal="".join(self.refusals) or None,
            tool_calls=tuple(
                {
                    "id": call["id"],
                    "type": "function",
                    "function": {"name": call["name"], "arguments": call["arguments"]},
                }
                for _, call in sorted(self.calls.items())
            ),
            usage=self.usage,
            model=self.model or model,
            ms=ms,
            first_byte_ms=first_byte_ms,
            requests=requests,
        )


def _whole_characters(text: str) -> tuple[str, str]:
    """The text as characters, and half of one at its end: JSON lets a provider cut those beyond U+FFFF in two."""
    half = text[-1] if "\ud800" <= text[-1] <= "\udbff" else ""
    text = text.removesuffix(half)
    try:
        text.encode()
    except UnicodeEncodeError:
        text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text, half


def _object(data: bytes) -> dict[str, Any]:
    try:
        value = from_json(data)
    except ValueError:
        # Stricter than Python's: it takes no half of a character.
        try:
            value = json.loads(data.decode())
        except (ValueError, RecursionError):
            # From None: the error would carry the text.
            raise Malformed("not JSON") from None
    if not isinstance(value, dict):
        raise Malformed("not an object")
    return value


def _usage(given: dict[str, Any]) -> Usage:
    """Tokens as they were reported; the details are parts of the prompt and of the completion."""
    places: dict[str, Any] = dict.fromkeys(("prompt_tokens", "completion_tokens", "total_tokens"), given)
    places |= dict.fromkeys(("cached_tokens", "cache_write_tokens"), given.get("prompt_tokens_details"))
    places["reasoning_tokens"] = given.get("completion_tokens_details")
    found = {name: place.get(name) for name, place in places.items() if isinstance(place, dict)}
    return Usage(**{name: number for name, number in found.items() if type(number) is int and number >= 0})


def _stream_error(error: object) -> StreamError:
    if not isinstance(error, dict):
        return StreamError(500, (), str(error))
    codes = tuple(str(error[name]) for name in ("code", "type") if isinstance(error.get(name), str | int))
    number = next((int(code) for code in codes if code.isdigit() and 400 <= int(code) < 600), None)
    said = " ".join(codes).lower()
    guesses = (("quota", 429), ("rate_limit", 429), ("overloaded", 503), ("unavailable", 503), ("invalid_request", 400))
    status = number or next((status for word, status in guesses if word in said), 500)
    return StreamError(status, codes, str(error.get("message", "")))
