"""What tests of the chat need: a prompt, a provider, and a server that sends any bytes it is given."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Self

from pydantic import SecretStr

from understudy.providers import Provider

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

USER_TEXT = "the-text-of-a-user"


@dataclass(frozen=True)
class Ask:
    """A prompt."""

    messages: list[dict[str, Any]] = field(default_factory=lambda: [{"role": "user", "content": USER_TEXT}])
    response_format: dict[str, Any] | None = None


def provider_at(base_url: str, **changes: Any) -> Provider:
    """A provider there, with limits that a test can wait for."""
    ollama = Provider(
        name="ollama",
        base_url=base_url,
        model="llama3.2",
        api_key=SecretStr("sk-test-key"),
        paid=False,
        local=True,
        context_window=8192,
        timeout_s=20.0,
        connect_s=5.0,
        first_byte_s=20.0,
        slow_s=10.0,
    )
    return replace(ollama, **changes)


def chunk(text: str | None = None, finish: str | None = None, **delta: Any) -> bytes:
    """One event of a stream."""
    choice = {"index": 0, "delta": ({"content": text} if text is not None else {}) | delta, "finish_reason": finish}
    return b"data: " + json.dumps({"choices": [choice], "model": "served-model"}).encode() + b"\n\n"


def stream(*events: bytes) -> bytes:
    """A whole response that streams these events and ends with the connection."""
    return b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n" + b"".join(events)


def answer(status: int, body: object, content_type: str = "application/json", *headers: str) -> bytes:
    """A whole response with this body."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"HTTP/1.1 {status} Status", f"Content-Type: {content_type}", f"Content-Length: {len(data)}"]
    lines += ["Connection: close", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + data


GOOD = stream(chunk("good"), chunk(finish="stop"), b"data: [DONE]\n\n")


@dataclass
class Asked:
    """One request as it came over the socket."""

    head: str
    body: dict[str, Any]

    @property
    def headers(self) -> dict[str, str]:
        """Its headers, names in lower case."""
        lines = (line.partition(": ") for line in self.head.split("\r\n")[1:])
        return {name.lower(): value for name, _, value in lines}


class RawServer:
    """Answers each request with what `reply` gives for it, then closes."""

    def __init__(self, reply: Callable[[Asked], bytes | Awaitable[bytes]]) -> None:
        self._reply = reply
        self._server: asyncio.Server | None = None
        self.asked: list[Asked] = []

    @property
    def base_url(self) -> str:
        """Its address."""
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/v1"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().strip()
            length = next(
                (int(line[16:]) for line in head.lower().split("\r\n") if line.startswith("content-length:")), 0
            )
            asked = Asked(head, json.loads(await reader.readexactly(length) or b"{}"))
            self.asked.append(asked)
            reply = self._reply(asked)
            writer.write(reply if isinstance(reply, bytes) else await reply)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()
