"""The addresses of a stand-in: what each answers, and how its fate gets in the way."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web

from workers.stand_in import wire
from workers.stand_in.answers import Reply, reply_to
from workers.stand_in.ask import PROBE, Ask, AskError, read_ask
from workers.stand_in.counts import RUNNING, Counts, Record
from workers.stand_in.fate import Answer, Fate
from workers.stand_in.memory import Memory
from workers.stand_in.screen import MODERATIONS, SCREENING, found, read_screen
from workers.stand_in.tool_talk import NO_TOOLS

if TYPE_CHECKING:
    from collections.abc import Callable

    from workers.stand_in.draw import Draw

CHAT: Final = "/v1/chat/completions"
LOOKS: Final = frozenset({"/v1/models", "/api/tags", "/api/version"})
VERSION: Final = "0.0.0-stand-in"
PROBE_TOKENS: Final = 1
LOWEST_SERVER_ERROR: Final = 500

MESSAGES: Final = {
    "insufficient_quota": "You exceeded your current quota, please check your plan and billing details.",
    "rate_limit_exceeded": "Rate limit reached for requests.",
    "context_length_exceeded": "This model's maximum context length is exceeded by your messages.",
    "content_filter": "The response was filtered due to the prompt triggering the content management policy.",
    "invalid_api_key": "Incorrect API key provided.",
}


class Api:
    """Answers requests as the current `draw` says.

    Args:
        name: whose place the stand-in takes; sent with every answer.
        model: the one it lists.
        draw: may be replaced at any time.
        counts: told of every request.
    """

    def __init__(self, name: str, model: str, draw: Draw, counts: Counts) -> None:
        self.name = name
        self.model = model
        self.draw = draw
        self.counts = counts
        self.memory = Memory(counts.load)
        self.hanging_up = False
        """Whether connections lost now are of the stand-in's own doing."""
        self._headers = {"X-Understudy-Stand-In": name}
        self._ids = itertools.count(1)

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request, unless its fate is never to be answered."""
        path = request.path
        if path == CHAT and request.method == "POST":
            self.counts.look(path)
            return await self._chat(request, read_ask)
        if path == MODERATIONS and request.method == "POST":
            self.counts.look(path)
            return await self._chat(request, read_screen)
        if path in LOOKS and request.method == "GET":
            self.counts.look(path)
            return await self._look(request, path)
        # Unknown addresses are counted together: their number has no bound.
        self.counts.look("other")
        return self._error(404, "There is no such address.", None)

    async def _look(self, request: web.BaseRequest, path: str) -> web.StreamResponse:
        fate = self.draw.for_look()
        if fate.reset:
            await wire.reset(request)
        if fate.silence:
            await wire.forever()
        if fate.status is not None and (fate.status >= LOWEST_SERVER_ERROR or fate.code == "invalid_api_key"):
            return self._fated_error(fate, self.model)
        models = [] if fate.model_missing else [self.model]
        body: dict[str, Any] = {"version": VERSION}
        if path == "/v1/models":
            data = [{"id": model, "object": "model", "created": 0, "owned_by": "stand-in"} for model in models]
            body = {"object": "list", "data": data}
        elif path == "/api/tags":
            tagged = [model if ":" in model else f"{model}:latest" for model in models]
            body = {"models": [{"name": model, "model": model} for model in tagged]}
        return web.json_response(body, headers=self._headers)

    async def _chat(self, request: web.BaseRequest, read: Callable[[bytes], Ask]) -> web.StreamResponse:
        call = request.headers.get("X-Understudy-Call")
        try:
            ask = read(await _body(request))
        except AskError as error:
            record = Record(time.time(), "invalid", False, "", call, status=400, outcome="invalid")
            self.counts.end(self.counts.begin(record), record)
            return self._error(400, f"Invalid request: {error}.", None)
        probe = ask.max_tokens == PROBE_TOKENS or request.headers.get("X-Understudy-Probe") == "1"
        record = Record(time.time(), PROBE if probe else ask.kind, ask.stream, ask.fingerprint, call)
        life = self.counts.begin(record)
        draw = self.draw
        try:
            fate = draw.for_call(ask.holds, probe=probe)
            if fate.cold_ms:
                await self.memory.need(fate)
            if wait_s := draw.latency_s(fate):
                await asyncio.sleep(wait_s)
            return await self._answer(request, ask, fate, record)
        except ConnectionError:
            # The client left in the middle of an answer; the cancellation is on its way.
            await wire.forever()
        finally:
            if record.outcome == RUNNING:
                record.outcome = "hung_up" if self.hanging_up else "aborted"
            self.counts.end(life, record)

    async def _answer(self, request: web.BaseRequest, ask: Ask, fate: Fate, record: Record) -> web.StreamResponse:
        if ask.talk.rounds < fate.after_rounds:
            fate = fate.spared()
        if fate.reset:
            record.outcome = "reset"
            await wire.reset(request)
        if fate.silence:
            await wire.forever()
        if fate.model_missing:
            fate = Fate(code="model_not_found")
        if fate.status is not None:
            record.status, record.outcome = fate.status, f"status_{fate.status}"
            return self._fated_error(fate, ask.model)
        if fate.no_tools and ask.talk.offered:
            record.status, record.outcome = 400, "no_tools"
            return self._error(400, NO_TOOLS, None)
        reply = reply_to(ask, fate)
        record.status = 200
        send = self._stream if ask.stream else self._whole
        return await send(request, ask, reply, fate, record)

    async def _whole(
        self, request: web.BaseRequest, ask: Ask, reply: Reply, fate: Fate, record: Record
    ) -> web.StreamResponse:
        screened = ask.kind == SCREENING
        body = json.dumps(found(ask, fate)).encode() if screened else wire.completion(self._head(ask), ask, reply, fate)
        outcome = _outcome(fate)
        if fate.malformed_after is not None:
            body = wire.broken_body(body, fate.malformed_after)
        headers = self._headers | {"Content-Type": "application/json"}
        ends_early = _first(fate.stall_after, fate.cut_after)
        if not fate.drip_ms and ends_early is None:
            record.tokens, record.outcome = len(reply.tokens), outcome
            return web.Response(body=body, headers=headers)
        response = web.StreamResponse(headers=headers)
        response.content_length = len(body)
        await response.prepare(request)
        if ends_early is None:
            await wire.write_slowly(response, wire.single_bytes(body), fate.drip_ms)
            record.tokens, record.outcome = len(reply.tokens), outcome
            return response
        # At least the last byte is missing.
        sent = body[: min(ends_early * wire.BYTES_PER_TOKEN, len(body) - 1)]
        pieces = wire.single_bytes(sent) if fate.drip_ms else [sent]
        await wire.write_slowly(response, pieces, fate.drip_ms)
        await self._end_early(request, fate, record)
        return response

    async def _stream(
        self, request: web.BaseRequest, ask: Ask, reply: Reply, fate: Fate, record: Record
    ) -> web.StreamResponse:
        headers = self._headers | {"Content-Type": "text/event-stream; charset=utf-8", "Cache-Control": "no-cache"}
        response = web.StreamResponse(headers=headers)
        await response.prepare(request)
        ends_early = _first(fate.stall_after, fate.cut_after)
        head = self._head(ask)
        chunks = list(wire.token_chunks(head, reply, whole_calls=fate.tool_style != "split"))
        if not fate.drip_ms and ends_early is None and fate.malformed_after is None:
            # Nothing lies between them: they leave together, as what a real server has at hand does.
            record.tokens, record.outcome = len(chunks), _outcome(fate)
            await response.write(b"".join([*chunks, *wire.closing_chunks(head, ask, reply, fate)]))
            return response
        for n, chunk in enumerate(chunks):
            if n == ends_early:
                break
            if n == fate.malformed_after:
                await response.write(wire.broken_chunk())
            if fate.drip_ms and n:
                await asyncio.sleep(fate.drip_ms / 1000)
            await response.write(chunk)
            record.tokens += 1
        if ends_early is not None:
            await self._end_early(request, fate, record)
        if fate.malformed_after is not None and fate.malformed_after >= len(chunks):
            await response.write(wire.broken_chunk())
        record.outcome = _outcome(fate)
        await response.write(b"".join(wire.closing_chunks(head, ask, reply, fate)))
        return response

    def _head(self, ask: Ask) -> dict[str, Any]:
        return {
            "id": f"chatcmpl-stand-in-{next(self._ids)}",
            "created": int(time.time()),
            "model": ask.model,
            "system_fingerprint": wire.FINGERPRINT,
        }

    async def _end_early(self, request: web.BaseRequest, fate: Fate, record: Record) -> None:
        if fate.cut_after is not None:
            record.outcome = "cut"
            await wire.cut(request)
        await wire.forever()

    def _fated_error(self, fate: Fate, model: str) -> web.Response:
        status = fate.status or LOWEST_SERVER_ERROR
        message = MESSAGES.get(fate.code or "", f"This fails with status {status}, as it was told to.")
        if fate.code == "model_not_found":
            message = f"The model '{model}' does not exist."
        response = self._error(status, message, fate.code)
        if fate.retry_after is not None:
            response.headers["Retry-After"] = f"{fate.retry_after:g}"
        return response

    def _error(self, status: int, message: str, code: str | None) -> web.Response:
        return web.json_response(wire.error_body(message, code, status), status=status, headers=self._headers)


async def _body(request: web.BaseRequest) -> bytes:
    try:
        return await request.read()
    except web.RequestPayloadError:
        raise AskError("the body does not match its headers") from None


def _first(*values: int | None) -> int | None:
    return next((value for value in values if value is not None), None)


def _outcome(fate: Fate) -> str:
    if fate.malformed_after is not None:
        return "malformed"
    return "answered" if fate.answer == Answer.GOOD else str(fate.answer)
