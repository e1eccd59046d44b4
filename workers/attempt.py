"""One attempt: asks a provider, reads its answer, tries the same one again where the failure table says so."""

from __future__ import annotations

import asyncio
import json
import random
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from redis.exceptions import RedisError

from understudy.contracts import KINDS
from understudy.contracts.call import Reason, Usage
from understudy.moves import narrowed
from understudy.routing import Policy, kept_back_ms
from workers import chat_reply
from workers.failures import ProviderFailure, Same, row
from workers.kind_work import Prompt, Reply, work_for
from workers.unusable import Refused, Unusable
from workers.verdicts import reason_of, verdict_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pydantic import BaseModel

    from understudy.providers import Provider
    from understudy.state.ledger import Reply as Granted
    from understudy.state.report import Report
    from workers.context import Context
    from workers.leases import Lease
    from workers.run import Run

RAISED_TOKENS = 4
"""The second request after an answer that was cut off at the token limit may have this many times as many."""

ASSUMED_TOKENS = 1_024
"""Where no limit was sent and the provider's own cut the answer off."""

SHORT_WAIT_S = 5.0
"""A rate limit is waited out this long where the next provider costs money."""


@dataclass(frozen=True)
class Answer:
    """A provider's answer, read and valid."""

    result: BaseModel
    usage: Usage
    model: str
    ms: int
    """Of the request that was answered."""


@dataclass(frozen=True)
class Failed:
    """The provider gave no answer that can be used; where the call goes now."""

    what: str
    detail: str
    verdict: dict[str, Any]
    tried: bool = True
    end: Reason | None = None


class LeaseLost(Exception):
    """The lease ran out or was taken: nothing more may be asked under it."""


class Attempting:
    """Carries out one attempt under its lease."""

    def __init__(self, context: Context, run: Run, lease: Lease) -> None:
        self._context = context
        self._run = run
        self._lease = lease
        self._retried = False
        self._kept_ms = 0

    async def go(self) -> Answer | Failed:
        """Ask until there is an answer, or a reason to go elsewhere.

        Raises:
            LeaseLost: the call is not ours any more.
        """
        try:
            request = KINDS[self._run.kind].request.model_validate(json.loads(self._run.request))
            work = work_for(self._run.kind)
            prompt = work.build(request)
        except Exception as error:  # noqa: BLE001 - whatever is wrong with this request is its own matter
            return self._ended("bug", f"the prompt could not be built: {type(error).__name__}", Reason.BUG)
        while True:
            reply: chat_reply.Reply | None = None
            try:
                reply = await self._ask(prompt)
                read = Reply(reply.text, reply.finish_reason, reply.refusal, tuple(dict(c) for c in reply.tool_calls))
                return Answer(work.read(read, request), reply.usage, reply.model, reply.ms)
            except Refused as refused:
                failure = ProviderFailure(row(refused.row), refused.fault)
            except Unusable as unusable:
                failure = ProviderFailure(row(unusable.row), unusable.fault)
            except ProviderFailure as provider_failure:
                failure = provider_failure
                self._run.requests += failure.requests
            except LeaseLost:
                raise
            except Exception as error:  # noqa: BLE001 - the reading of a reply is our code: a bug ends this call alone
                return self._ended("bug", f"the reply could not be read: {type(error).__name__}", Reason.BUG)
            again = await self._again(failure)
            if again is not None:
                return again
            if failure.row.same is Same.REASK and reply is not None:
                prompt = work.reask(prompt, read, failure.detail)
            elif failure.row.same is Same.RAISE_LIMIT:
                limit = prompt.max_tokens or self._context.settings.llm_max_tokens or ASSUMED_TOKENS
                prompt = replace(prompt, max_tokens=limit * RAISED_TOKENS)

    async def _ask(self, prompt: Prompt) -> chat_reply.Reply:
        run, provider, settings = self._run, self._run.provider, self._context.settings
        seen = await self._context.seen()
        policy = policy_of_run(run, self._context.providers)
        left_s = run.left_s()
        self._kept_ms = kept_back_ms(
            self._context.providers,
            seen,
            policy,
            left_ms=max(0, int(left_s * 1000)),
            current=provider.name,
            tried=run.tried,
        )
        timeout_s = min(provider.timeout_s, left_s - self._kept_ms / 1000)
        if timeout_s <= 0:
            raise ProviderFailure(row("caller_deadline"), "no time was left to ask", requests=0)
        if not self._lease.safe:
            raise LeaseLost
        asked = time.monotonic()
        asking = self._context.chat.complete(
            provider,
            prompt,
            timeout_s=timeout_s,
            first_byte_s=min(provider.first_byte_s, timeout_s),
            max_tokens=prompt.max_tokens or settings.llm_max_tokens,
            temperature=settings.llm_temperature if prompt.temperature is None else prompt.temperature,
            call_id=run.call_id,
            # with less than what counts as slow, a time-out says nothing about the provider
            bounded_by_deadline=timeout_s < provider.slow_s,
        )
        try:
            reply = await asking
        except ProviderFailure as failure:
            if failure.row.name != "content_filter":
                raise
            # Some filter with an error, others within the answer: what it means, the kind decides for both alike.
            ms = int((time.monotonic() - asked) * 1000)
            reply = chat_reply.Reply("", "content_filter", None, (), Usage(), provider.model, ms, ms, failure.requests)
        run.requests += reply.requests
        return reply

    async def _again(self, failure: ProviderFailure) -> Failed | None:
        """None where the same provider is asked once more, its next request granted; else where the call goes."""
        delay_s = self._delay_s(failure)
        if delay_s is None:
            return self._failed(failure)
        run = self._run
        self._retried = True
        try:
            granted = await self._granted(run.report(**verdict_of(failure, run.provider)), delay_s)
        except (RedisError, OSError):
            return self._failed(failure)  # no grant, no request; the move is written when the ledger is back
        if granted is None or granted.word == "denied":
            return self._failed(failure)
        if granted.word == "lost":
            raise LeaseLost
        run.rid, run.gen = granted.text("rid"), granted.number("gen")
        self._lease.rid = run.rid
        return None

    async def _granted(self, report: Report, delay_s: float) -> Granted | None:
        """What the ledger says of one more request; None where the lease is too old to ask under."""
        run = self._run
        if report.pause_ms:  # the others are to know before this one has waited
            await self._context.ledger.report(run.call_id, report)
        await asyncio.sleep(delay_s)
        if self._lease.gone:
            raise LeaseLost
        if not self._lease.safe:
            return None
        return await self._context.ledger.again(
            run.call_id,
            epoch=run.epoch,
            token=run.token,
            rid=run.rid,
            provider=run.provider.name,
            model=run.provider.model,
            queue=run.queue,
            max_requests=self._context.settings.understudy_max_requests,
            report=report,
        )

    def _delay_s(self, failure: ProviderFailure) -> float | None:
        """How long to wait before the same provider is asked again; None: not again."""
        same, most = failure.row.same, failure.row.max_delay_s
        if self._retried or same is Same.NO:
            return None
        delay_s = 0.0
        if same is Same.ONCE:
            delay_s = random.uniform(0, most)
        elif same is Same.ONCE_BACKOFF:
            delay_s = random.uniform(most / 2, most)
        elif same is Same.WAIT_RETRY_AFTER:
            delay_s = (failure.retry_after_s or 0.0) + 0.05
            if delay_s > SHORT_WAIT_S and self._kept_ms:
                return None
        left_s = self._run.left_s() - self._kept_ms / 1000
        return delay_s if delay_s < left_s / 2 else None

    def _failed(self, failure: ProviderFailure) -> Failed:
        provider, where = self._run.provider, failure.row
        verdict = verdict_of(failure, provider)
        if where.name == "caller_deadline" and self._kept_ms:
            return Failed(where.name, failure.detail, verdict)  # time was kept back for the next one
        return Failed(where.name, failure.detail, verdict, end=reason_of(where))

    @staticmethod
    def _ended(what: str, detail: str, reason: Reason) -> Failed:
        return Failed(what, detail, {"verdict": "none"}, end=reason)


def policy_of_run(run: Run, providers: Sequence[Provider]) -> Policy:
    """What the call of a run allows, after what its earlier attempts have shown."""
    policy = Policy(
        kind=run.kind,
        spend=run.options.spend or Policy.spend,
        local_only=run.options.local_only,
        batch=run.batch,
        total_ms=run.deadline - run.created,
    )
    return narrowed(policy, run.earlier, providers)
