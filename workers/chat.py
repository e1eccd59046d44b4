"""Asking a provider: one request, under limits, read as a stream, and every failure as a row of the table.

The only module that knows the OpenAI SDK.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import aiohttp
import httpx2
import openai

from workers.admission import Admission, Admitted
from workers.chat_dialect import Dialect, Prompt, first_dialect
from workers.chat_headers import headers_of, only_ours
from workers.chat_reply import Malformed, Reply
from workers.chat_request import Disconnected, Leaves, ParameterRejected, Request, ServerStatus
from workers.failures import ProviderFailure, row
from workers.limits import Limits
from workers.retry_after import retry_after_s
from workers.screening import ScreenPrompt, as_completion, of_endpoint

if TYPE_CHECKING:
    from understudy.providers import Provider

IDLE_S = 20.0
"""How long an unused connection is kept: below the 60 s and more of common load balancers."""

MAX_MESSAGE_CHARS = 4000
"""As much of an error without a format as is searched for what it means."""

TOOLLESS_S = 600.0
"""How long a model that refused tools is not offered any: then somebody may have mended it."""

MAX_DIALECTS = 4
"""Rejections of a parameter that one request may learn from."""

_NO_KEY = "none"
"""The SDK insists on a key, and would otherwise take OPENAI_API_KEY from the environment for any provider."""

OPENAI = "openai"
"""The provider whose requests the SDK's own environment variables (organisation, project) are meant for."""

_leaving: ContextVar[Leaves | None] = ContextVar("leaving", default=None)
"""What the request that this task is about to send awaits: SDK and HTTP client have no other way to hand it through."""

OnText = Callable[[str], None]
OnFirstByte = Callable[[], None]


class Chat:
    """The connections to all providers; one per process, used on one event loop.

    Args:
        providers: those whose clients are made at once; making one takes 0.1 s that the first call need not wait for.
    """

    def __init__(self, providers: Iterable[Provider] = ()) -> None:
        # At DEBUG the SDK writes requests, prompts included; whoever turns on debug logs does not ask for that.
        for name in ("openai", "httpx2"):
            logging.getLogger(name).setLevel(logging.WARNING)
        self._clients = {provider: _client(provider) for provider in providers}
        self._dialects: dict[tuple[str, str], Dialect] = {}
        self._toolless: dict[tuple[str, str], float] = {}
        """Models that refused tools, until when they are believed to."""

    async def complete(
        self,
        provider: Provider,
        prompt: Prompt,
        *,
        timeout_s: float | None = None,
        first_byte_s: float | None = None,
        admission: Admission | None = None,
        max_tokens: int | None = None,
        temperature: float | None = None,
        tools: list[dict[str, Any]] | None = None,
        call_id: str | None = None,
        on_delta: OnText | None = None,
        on_first_byte: OnFirstByte | None = None,
        probe: bool = False,
    ) -> Reply:
        """Asks once and reads the answer to its end.

        A request that is rejected for a parameter the server does not know is repeated without it, within the same
        limits, and the server's dialect remembered.

        Args:
            provider: who is asked.
            prompt: messages, and the schema to hold the answer to.
            timeout_s: for all of it; None takes the provider's.
            first_byte_s: until the first chunk, and between two chunks; None takes the provider's.
            admission: asked right before the request leaves, and gives the limits instead of these two.
            max_tokens: of the answer; None leaves it to the provider.
            temperature: None leaves it to the provider.
            tools: as the API describes them.
            call_id: sent along, so that a provider's own log can be matched with ours.
            on_delta: gets each piece of text at once.
            on_first_byte: called at the first chunk.
            probe: marks the request as the prober's.

        Raises:
            ProviderFailure: with its row; and what `admission` raises.
        """
        if tools and self._toolless.get((provider.name, provider.model), 0.0) > time.monotonic():
            raise ProviderFailure(row("no_tools"), "this model has refused tools before", requests=0)
        client, headers = self._client(provider), headers_of(call_id, probe=probe)
        first_s = provider.first_byte_s if first_byte_s is None else first_byte_s
        admission = admission or Admitted(Limits(timeout_s or provider.timeout_s, first_s, first_s))
        request = Request(
            lambda body, leaves: _exchange(client, provider, body, headers, leaves),
            provider,
            admission,
            on_delta=on_delta,
            on_first_byte=on_first_byte,
        )
        try:
            if isinstance(prompt, ScreenPrompt):
                return await _screened(request, prompt)
            return await self._answered(
                request, provider, prompt, max_tokens=max_tokens, temperature=temperature, tools=tools
            )
        finally:
            admission.release()

    async def _answered(self, request: Request, provider: Provider, prompt: Prompt, **parameters: Any) -> Reply:
        """Sends the request, plainer each time that the server rejects a parameter."""
        known = self._dialects.get((provider.name, provider.model)) or first_dialect(provider)
        dialect = known
        while True:
            try:
                reply = await request.send(dialect.body(provider, prompt, **parameters))
            except ParameterRejected as rejection:
                plainer = dialect.without(rejection.parameter) if request.sent <= MAX_DIALECTS else None
                if plainer is None:
                    raise rejection.failure from None
                dialect = plainer
                continue
            except ProviderFailure as failure:
                if failure.row.name == "no_tools":
                    self._toolless[provider.name, provider.model] = time.monotonic() + TOOLLESS_S
                raise
            if dialect is not known:
                # Only now: a rejection that persists had another cause.
                self._dialects[provider.name, provider.model] = dialect
            return reply

    async def ping(self, provider: Provider, *, timeout_s: float) -> int:
        """Asks for the list of models, which costs nothing, and gives the time it took in ms.

        A provider that has no such list is up all the same.

        Raises:
            ProviderFailure: with its row.
        """
        started = time.monotonic()
        try:
            async with asyncio.timeout(timeout_s):
                with _translated():
                    await self._client(provider).models.with_raw_response.list(
                        extra_headers=headers_of(None, probe=True), timeout=_timeout(provider)
                    )
        except TimeoutError:
            raise ProviderFailure(row("no_first_byte"), f"no answer in {timeout_s:g} s") from None
        except ServerStatus as error:
            if error.status not in (404, 405):
                raise error.failure() from None
        except Disconnected as error:
            raise error.failure() from None
        return round((time.monotonic() - started) * 1000)

    async def close(self) -> None:
        """Closes every connection."""
        clients, self._clients = list(self._clients.values()), {}
        for client in clients:
            await client.close()

    def _client(self, provider: Provider) -> openai.AsyncOpenAI:
        if provider not in self._clients:
            self._clients[provider] = _client(provider)
        return self._clients[provider]


async def _screened(request: Request, prompt: ScreenPrompt) -> Reply:
    try:
        return await request.send(prompt.body)
    except ProviderFailure as failure:
        raise of_endpoint(failure) from None


def _client(provider: Provider) -> openai.AsyncOpenAI:
    key = provider.api_key.get_secret_value() if provider.api_key else None
    # A limit of 0 is none at all: how many requests run at once is decided by who admits them.
    http = openai.DefaultAioHttpClient(limits=httpx2.Limits(max_connections=0, keepalive_expiry=IDLE_S))
    client = openai.AsyncOpenAI(
        base_url=provider.base_url,
        api_key=key or _NO_KEY,
        http_client=http,
        max_retries=0,
        timeout=_timeout(provider),
    )
    ours = [] if provider.name == OPENAI else [only_ours(key, provider.base_url)]
    http.event_hooks = {"request": [*ours, _before_it_leaves]}
    # The SDK imports a resource at its first use, which would hold up the loop; this is the one that `ping` uses.
    client.models.with_raw_response  # noqa: B018
    return client


async def _before_it_leaves(_: httpx2.Request) -> None:
    """The last that is done before a request gets a connection."""
    leaves = _leaving.get()
    if leaves is not None:
        # Once, however often it is redirected; and a connection that is made now outlives the request, so that it must
        # not take it along in its context.
        _leaving.set(None)
        await leaves()


def _timeout(provider: Provider) -> openai.Timeout:
    """For connecting alone: all later limits are kept by `Request`, which can move them."""
    return openai.Timeout(None, connect=provider.connect_s, pool=provider.connect_s)


@asynccontextmanager
async def _exchange(
    client: openai.AsyncOpenAI, provider: Provider, body: dict[str, Any], headers: dict[str, str], leaves: Leaves
) -> AsyncIterator[tuple[str, AsyncIterator[bytes]]]:
    # The SDK's way for addresses that it does not know: a method of its own would check and copy the body, and wrap the
    # response, for 0.5 ms a call.
    screens = "input" in body
    given: dict[str, Any] = {"body": body, "options": {"headers": headers, "timeout": _timeout(provider)}}
    with _translated():
        path = "/moderations" if screens else "/chat/completions"
        before = _leaving.set(leaves)
        try:
            response = await client.post(path, cast_to=httpx2.Response, stream=True, **given)
        finally:
            _leaving.reset(before)
        try:
            pieces, kind = _pieces(response), response.headers.get("content-type", "")
            yield ("application/json", as_completion(pieces)) if screens else (kind, pieces)
        finally:
            await response.aclose()


def _pieces(response: httpx2.Response) -> AsyncIterator[bytes]:
    """The bytes of the answer; as they come, unless they are encoded: each token spares three generators."""
    if "content-encoding" in response.headers or not isinstance(response.stream, httpx2.AsyncByteStream):
        return response.aiter_bytes()
    return aiter(response.stream)


@contextmanager
def _translated() -> Iterator[None]:
    """Turns what SDK, HTTP client and transport raise into ours."""
    try:
        yield
    except openai.APIStatusError as error:
        # From None: the SDK's error holds the request and what the provider wrote.
        raise ServerStatus(
            error.status_code,
            codes=tuple(code for code in (error.code, error.type) if isinstance(code, str)),
            param=error.param if isinstance(error.param, str) else None,
            message=_message(error),
            retry_after_s=retry_after_s(error.response.headers),
        ) from None
    except httpx2.DecodingError:
        raise Malformed("wrong content encoding") from None
    except (openai.OpenAIError, httpx2.HTTPError, httpx2.StreamError, aiohttp.ClientError, OSError) as error:
        raise Disconnected from error


def _message(error: openai.APIStatusError) -> str:
    """What the provider wrote: its message, or all of it where it keeps to no format."""
    if isinstance(error.body, dict) and isinstance(error.body.get("message"), str):
        return str(error.body["message"])
    return error.response.text[:MAX_MESSAGE_CHARS]
