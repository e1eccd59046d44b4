"""One request to a provider: its limits, the reading of its stream, and the row of whatever goes wrong."""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, ExitStack
from functools import partial
from typing import TYPE_CHECKING, Any

from understudy.tracing import OFF
from workers import traced
from workers.chat_dialect import rejected, rejects_tools
from workers.chat_faults import row_of_connection
from workers.chat_reply import MAX_BYTES, EventLines, Gathering, Malformed, Reply, StreamError
from workers.failures import Billed, ProviderFailure, row, row_of_status

if TYPE_CHECKING:
    from understudy.providers import Provider
    from workers.admission import Admission
    from workers.limits import Limits

TAIL_S = 0.5
"""After the finish reason, for usage and the end of the stream: the answer is complete, nothing may hold it up."""

SLACK_S = 0.1
"""A stalled stream may be found this much too early, so that not every token moves a timer."""

_SAYS = ("bad_request", "model_missing", "server_error")
"""Rows of errors with which servers say that a model takes no tools: 400, 404 at a router, 500 without its option."""

_CODE = re.compile(r"[A-Za-z0-9_.-]{1,60}")


class ServerStatus(Exception):
    """The provider answered with an error.

    Args:
        codes: the error's `code` and `type`, those that it has.
        param: the parameter that it names.
        message: what the provider wrote; it may quote the prompt, so it is searched and never shown.
    """

    def __init__(
        self, status: int, *, codes: tuple[str, ...], param: str | None, message: str, retry_after_s: float | None
    ) -> None:
        super().__init__(status)
        self.status = status
        self.codes = codes
        self.param = param
        self.message = message
        self.retry_after_s = retry_after_s

    def failure(self, *, requests: int = 1, partial: bool = False) -> ProviderFailure:
        """It as a row of the table."""
        shown = [code for code in dict.fromkeys(self.codes) if _CODE.fullmatch(code)]
        return ProviderFailure(
            row_of_status(self.status, self.codes, self.message, retry_after_s=self.retry_after_s),
            " ".join([f"HTTP {self.status}", *shown]),
            retry_after_s=self.retry_after_s,
            status=self.status,
            partial=partial,
            requests=requests,
        )


class Disconnected(Exception):
    """The connection broke or never was; why is in `__cause__`."""

    def failure(self, *, answered: bool = False, partial: bool = False, requests: int = 1) -> ProviderFailure:
        """It as a row of the table."""
        found, detail = row_of_connection(self, answered=answered)
        if found.billed is Billed.NO:
            # It never left this machine.
            requests = max(0, requests - 1)
        return ProviderFailure(found, detail, partial=partial, requests=requests)


class ParameterRejected(Exception):
    """The server does not take a parameter that can be done without."""

    def __init__(self, parameter: str, failure: ProviderFailure) -> None:
        super().__init__(parameter)
        self.parameter = parameter
        self.failure = failure


Leaves = Callable[[], Awaitable[None]]
Exchange = Callable[[dict[str, Any], Leaves], AbstractAsyncContextManager[tuple[str, AsyncIterator[bytes]]]]
"""Sends a body and gives content type and bytes of the answer; may raise ServerStatus or Disconnected at any time.

`Leaves` is awaited right before the request gets a connection.
"""


class Request:
    """One request; sent again in another dialect, its time goes on, and it keeps its admission."""

    def __init__(
        self,
        exchange: Exchange,
        provider: Provider,
        admission: Admission,
        *,
        on_delta: Callable[[str], None] | None,
        on_first_byte: Callable[[], None] | None,
    ) -> None:
        self._exchange = exchange
        self._provider = provider
        self._admission = admission
        self._on_delta = on_delta
        self._on_first_byte = on_first_byte
        self._loop = asyncio.get_running_loop()
        self._limits: Limits
        self._timeout: asyncio.Timeout
        self._slack_s = SLACK_S
        self._started = self._ends = math.inf
        self._first_byte_at: float | None = None
        self._moved_at = -math.inf
        self._answered = False
        self._got = Gathering()
        self._spans: ExitStack
        self._span = OFF
        self.sent = 0

    async def send(self, body: dict[str, Any]) -> Reply:
        """Sends the body and reads the answer.

        Raises:
            ProviderFailure: with its row.
            ParameterRejected: without that parameter it might be answered.
        """
        self._span = OFF
        with ExitStack() as self._spans:
            try:
                reply = await self._send(body)
            except (ProviderFailure, ParameterRejected) as error:
                traced.not_answered(self._span, error if isinstance(error, ProviderFailure) else error.failure)
                raise
            traced.answered(self._span, reply)
            return reply

    async def _leaves(self, body: dict[str, Any]) -> None:
        """Waits until the request may leave: time that neither its limits nor its span know of."""
        if not self.sent:
            self._limits = await self._admission.admit()
            self._started = self._loop.time()
            self._ends = self._started + self._limits.total_s
            self._slack_s = min(SLACK_S, self._limits.gap_s / 10)
        self.sent += 1
        self._span = self._spans.enter_context(traced.asking(self._provider, body))
        self._timeout.reschedule(min(self._ends, self._loop.time() + self._limits.first_s))

    async def _send(self, body: dict[str, Any]) -> Reply:
        try:
            async with asyncio.timeout(None) as self._timeout:
                await self._read(body)
        except TimeoutError:
            # A complete answer stands, however its stream ends.
            if self._got.finish_reason is None:
                raise self._timed_out(self._timeout.when() or self._ends) from None
        except ServerStatus as error:
            failure = error.failure(requests=self.sent)
            if failure.row.name in _SAYS and rejects_tools(body, error.param, error.message):
                raise ProviderFailure(
                    row("no_tools"), f"HTTP {error.status}: no tools", status=error.status, requests=self.sent
                ) from None
            parameter = rejected(body, error.param, error.message) if failure.row.name == "bad_request" else None
            raise (ParameterRejected(parameter, failure) if parameter else failure) from None
        except StreamError as error:
            raise self._stream_failure(error) from None
        except Malformed as error:
            raise self._failure("cut", f"a chunk cannot be read: {error}") from None
        except Disconnected as error:
            if self._got.finish_reason is None:
                raise error.failure(answered=self._answered, partial=self._got.partial, requests=self.sent) from None
        if self._got.finish_reason is None:
            raise self._failure("cut", "the stream ended without a finish reason")
        now = self._loop.time()
        return self._got.reply(
            model=self._provider.model,
            ms=round((now - self._started) * 1000),
            first_byte_ms=round(((self._first_byte_at or now) - self._started) * 1000),
            requests=self.sent,
        )

    async def _read(self, body: dict[str, Any]) -> None:
        async with self._exchange(body, partial(self._leaves, body)) as (content_type, pieces):
            self._answered = True
            if "application/json" in content_type:
                await self._read_whole(pieces)
                return
            lines = EventLines()
            async for piece in pieces:
                for data in lines.feed(piece):
                    self._take(data)
                if self._got.done:
                    # Reading on to the end lets the connection be used again.
                    self._timeout.reschedule(min(self._ends, self._loop.time() + TAIL_S))
                    await self._release()
            for data in lines.end():
                self._take(data)

    async def _release(self) -> None:
        """Lets the next request leave before this answer is made anything of."""
        self._admission.release()
        await asyncio.sleep(0)

    def _take(self, data: bytes) -> None:
        if self._got.done:
            return
        text = self._got.event(data)
        self._alive()
        if text and self._on_delta is not None:
            self._on_delta(text)

    async def _read_whole(self, pieces: AsyncIterator[bytes]) -> None:
        """Reads the answer of a server that does not stream."""
        body = bytearray()
        async for piece in pieces:
            body += piece
            if len(body) > MAX_BYTES:
                raise Malformed("longer than any answer")
            self._alive()
        self._timeout.reschedule(None)  # all of it is here
        await self._release()
        text = self._got.whole(bytes(body))
        if text and self._on_delta is not None:
            self._on_delta(text)

    def _alive(self) -> None:
        now = self._loop.time()
        if self._first_byte_at is None:
            self._first_byte_at = now
            self._span.event("first_token")
            if self._on_first_byte is not None:
                self._on_first_byte()
        if self._got.finish_reason is not None:
            self._timeout.reschedule(min(self._ends, now + TAIL_S))
        elif now - self._moved_at >= self._slack_s:
            self._moved_at = now
            self._timeout.reschedule(min(self._ends, now + self._limits.gap_s))

    def _timed_out(self, when: float) -> ProviderFailure:
        limits, flowed = self._limits, self._first_byte_at is not None
        if not flowed and limits.cold:
            return self._failure("cold_start", f"nothing in {limits.first_s:g} s, the model may have to be loaded")
        if when >= self._ends and (limits.by_deadline or (limits.flows and flowed)):
            return self._failure("caller_deadline", "the caller's time ran out")
        if not flowed:
            return self._failure("no_first_byte", f"nothing in {min(limits.first_s, limits.total_s):g} s")
        if when >= self._ends:
            return self._failure("total_timeout", f"not finished in {limits.total_s:g} s")
        return self._failure("stalled", f"the stream stood still for {limits.gap_s:g} s")

    def _stream_failure(self, error: StreamError) -> ProviderFailure:
        if self._got.partial:
            return self._failure("cut", f"the provider broke off with error {error.status}")
        status = ServerStatus(error.status, codes=error.codes, param=None, message=error.message, retry_after_s=None)
        return status.failure(requests=self.sent)

    def _failure(self, name: str, detail: str) -> ProviderFailure:
        return ProviderFailure(row(name), detail, partial=self._got.partial, requests=self.sent)
