"""How a stand-in writes: the JSON of the API, and what goes wrong on the socket."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from typing import TYPE_CHECKING, Any, Final, NoReturn

from workers.stand_in.tool_talk import deltas_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from aiohttp import web

    from workers.stand_in.answers import Reply
    from workers.stand_in.ask import Ask
    from workers.stand_in.fate import Fate

FINGERPRINT: Final = "understudy-stand-in"
BYTES_PER_TOKEN: Final = 4

# Linger on, for no time: closing then resets the connection.
_RESET: Final = struct.pack("ii", 1, 0)
_DONE: Final = b"data: [DONE]\n\n"
_BROKEN: Final = '{"id":"chatcmpl-stand-in","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"'


async def forever() -> NoReturn:
    """Wait until the client has gone, which cancels the handler."""
    await asyncio.get_running_loop().create_future()
    raise AssertionError("nobody resolves this future")


async def reset(request: web.BaseRequest) -> NoReturn:
    """Reset the connection."""
    transport = request.transport
    if transport is not None:
        sock = transport.get_extra_info("socket")
        if sock is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        transport.abort()
    await forever()


async def cut(request: web.BaseRequest) -> NoReturn:
    """Close the connection once what was written is sent."""
    if request.transport is not None:
        request.transport.close()
    await forever()


def error_body(message: str, code: str | None, status: int) -> dict[str, Any]:
    """The error object of the OpenAI API."""
    kind = "invalid_request_error" if status < 500 else "server_error"
    if code in {"insufficient_quota", "rate_limit_exceeded"}:
        kind = code
    return {"error": {"message": f"{message} (stand-in)", "type": kind, "param": None, "code": code}}


def usage_of(ask: Ask, reply: Reply) -> dict[str, int]:
    """Tokens of a request and its answer, counted roughly."""
    completion = len(reply.tokens)
    total = ask.prompt_tokens + completion
    return {"prompt_tokens": ask.prompt_tokens, "completion_tokens": completion, "total_tokens": total}


def completion(head: dict[str, Any], ask: Ask, reply: Reply, fate: Fate) -> bytes:
    """The body of an answer sent whole."""
    message: dict[str, Any] = {"role": "assistant", "content": reply.text, "refusal": None}
    if reply.refusal:
        message |= {"content": None, "refusal": reply.text}
    if reply.tool_calls:
        message |= {"content": reply.text or None, "tool_calls": list(reply.tool_calls)}
    choice = {"index": 0, "message": message, "finish_reason": reply.finish_reason, "logprobs": None}
    body = head | {"object": "chat.completion", "choices": [choice]}
    if not fate.no_usage:
        body["usage"] = usage_of(ask, reply)
    return json.dumps(body).encode()


def broken_body(body: bytes, tokens: int) -> bytes:
    """An answer whose JSON ends too early."""
    return body[: min(len(body) - 1, max(1, tokens * BYTES_PER_TOKEN))]


def token_chunks(head: dict[str, Any], reply: Reply, *, whole_calls: bool = False) -> Iterator[bytes]:
    """One event for each token, the first with the role, and for each piece of a tool call."""
    key = "refusal" if reply.refusal else "content"
    for n, token in enumerate(reply.tokens):
        delta = {"role": "assistant", key: token} if n == 0 else {key: token}
        yield _chunk(head, [{"index": 0, "delta": delta, "finish_reason": None}])
    for delta in deltas_of(reply.tool_calls, whole=whole_calls) if reply.tool_calls else ():
        yield _chunk(head, [{"index": 0, "delta": delta, "finish_reason": None}])


def closing_chunks(head: dict[str, Any], ask: Ask, reply: Reply, fate: Fate) -> Iterator[bytes]:
    """What follows the last token: finish reason, usage if it was asked for, and the end mark."""
    yield _chunk(head, [{"index": 0, "delta": {}, "finish_reason": reply.finish_reason}])
    if ask.include_usage and not fate.no_usage:
        yield _chunk(head | {"usage": usage_of(ask, reply)}, [])
    if not fate.no_done:
        yield _DONE


def broken_chunk() -> bytes:
    """An event whose JSON ends too early."""
    return f"data: {_BROKEN}\n\n".encode()


def _chunk(head: dict[str, Any], choices: list[dict[str, Any]]) -> bytes:
    return b"data: " + json.dumps(head | {"object": "chat.completion.chunk", "choices": choices}).encode() + b"\n\n"


async def write_slowly(response: web.StreamResponse, pieces: Sequence[bytes], drip_ms: int) -> None:
    """Write piece by piece with a pause before each but the first; without a pause, in one go each."""
    for n, piece in enumerate(pieces):
        if drip_ms and n:
            await asyncio.sleep(drip_ms / 1000)
        await response.write(piece)


def single_bytes(body: bytes) -> list[bytes]:
    """The pieces of a dripping body."""
    return [body[n : n + 1] for n in range(len(body))]
