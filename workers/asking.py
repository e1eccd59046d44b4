"""The asking of one attempt: each request's place among the worker's, its limits, what it may cost."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from understudy.contracts.call import Usage
from understudy.routing import kept_back_ms
from workers import chat_reply, prompt_log
from workers.failures import ProviderFailure, row
from workers.leases import LeaseLost
from workers.limits import Limits, limits_of
from workers.money import token_limit

if TYPE_CHECKING:
    from collections.abc import Callable

    from workers.context import Context
    from workers.kind_work import Prompt
    from workers.leases import Lease
    from workers.run import Run


class Asking:
    """Asks the provider of one attempt, once each time.

    Args:
        streams: whether its answers are read as they come.
        on_delta: gets each piece of text at once.
    """

    def __init__(
        self, context: Context, run: Run, lease: Lease, *, streams: bool, on_delta: Callable[[str], None] | None
    ) -> None:
        self._context = context
        self._run = run
        self._lease = lease
        self._streams = streams
        self._on_delta = on_delta
        self._limits: Limits
        self._prompt: Prompt
        self._left_at = 0.0
        self._held: asyncio.Semaphore | None = None
        """Its worker's places, while it has one of them."""
        self.kept_ms = 0
        """Of the call's time, what the latest request left to the next provider."""

    async def ask(self, prompt: Prompt) -> chat_reply.Reply:
        """Waits for a place, asks, and gives the place back with the last byte of the answer.

        Raises:
            ProviderFailure: with its row.
            LeaseLost: the call is not ours any more, and nothing was sent.
        """
        run, provider, settings = self._run, self._run.provider, self._context.settings
        self._prompt = prompt
        try:
            reply = await self._context.chat.complete(
                provider,
                prompt,
                admission=self,
                max_tokens=token_limit(prompt, provider, settings),
                temperature=settings.llm_temperature if prompt.temperature is None else prompt.temperature,
                tools=prompt.tools or None,
                call_id=run.call_id,
                on_delta=self._on_delta,
            )
        except ProviderFailure as failure:
            if failure.row.name != "content_filter":
                raise
            # Some filter with an error, others within the answer: what it means, the kind decides for both alike.
            ms = int((time.monotonic() - self._left_at) * 1000)
            reply = chat_reply.Reply("", "content_filter", None, (), Usage(), provider.model, ms, ms, failure.requests)
        run.requests += reply.requests
        if reply.finish_reason != "content_filter":
            self._context.metrics.first_token(run.kind, provider.name, reply.first_byte_ms)
        run.bill.answered(reply.usage)
        prompt_log.answered(settings, reply)
        return reply

    async def admit(self) -> Limits:
        """Waits for a place, and gives the limits of the request that leaves now.

        Raises:
            ProviderFailure: no time is left.
            LeaseLost: the call is not ours any more.
        """
        await self._take_place()
        self._limits = await self._limits_now()
        if self._limits.total_s <= 0:
            raise _late()
        if not self._lease.safe:
            raise LeaseLost
        prompt_log.asked(self._context.settings, self._prompt)
        self._left_at = time.monotonic()
        self._run.bill.sent()
        return self._limits

    async def _take_place(self) -> None:
        places = self._context.places
        if places is None:
            return
        try:
            async with asyncio.timeout(self._run.left_s()):
                await places.acquire()
        except TimeoutError:
            raise _late() from None
        self._held = places

    def release(self) -> None:
        """Gives the place to whoever waits for one."""
        held, self._held = self._held, None
        if held is not None:
            held.release()

    def was_slow(self, reply: chat_reply.Reply) -> bool:
        """Whether the reply counts as slow: of one that is read as it comes, its beginning, however long it is."""
        ms = reply.first_byte_ms if self._limits.flows else reply.ms
        return not self._limits.cold and ms >= self._run.provider.slow_s * 1000

    async def _limits_now(self) -> Limits:
        run, provider = self._run, self._run.provider
        seen = await self._context.seen()
        left_s = run.left_s()
        self.kept_ms = kept_back_ms(
            self._context.providers,
            seen,
            run.policy(self._context.providers),
            left_ms=max(0, int(left_s * 1000)),
            current=provider.name,
            tried=run.tried,
        )
        return limits_of(
            provider,
            seen,
            left_s=left_s,
            kept_s=self.kept_ms / 1000,
            flows=self._streams,
            cold_start_s=self._context.settings.understudy_cold_start_s,
        )


def _late() -> ProviderFailure:
    return ProviderFailure(row("caller_deadline"), "no time was left to ask", requests=0)
