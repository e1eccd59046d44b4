"""One attempt: asks a provider, reads its answer, tries the same one again where the failure table says so."""

from __future__ import annotations

import asyncio
import json
import random
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from redis.exceptions import RedisError

from understudy.contracts import KINDS
from understudy.contracts.call import Reason, Usage
from workers.asking import Asking
from workers.failures import Billed, ProviderFailure, Same, row
from workers.fitting import fitted
from workers.kind_work import KindWork, Prompt, Reply
from workers.leases import LeaseLost
from workers.money import money_for, token_limit
from workers.screening import work_of
from workers.second_prompt import second_prompt
from workers.speech import Speech
from workers.tool_loop import ToolLoop, TranscriptFull
from workers.tools import UnknownTool
from workers.unusable import Refused, Unusable
from workers.verdicts import reason_of, verdict_of

if TYPE_CHECKING:
    from pydantic import BaseModel

    from understudy.state.ledger import Reply as Granted
    from understudy.state.report import Report
    from workers import chat_reply
    from workers.context import Context
    from workers.leases import Lease
    from workers.run import Run

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
    first_ms: int | None = None
    """Until that answer began."""
    slow: bool = False
    asked: bool = True
    """Not so, where an attempt before this one had got it, and only its end was missing."""


@dataclass(frozen=True)
class Failed:
    """The provider gave no answer that can be used; where the call goes now."""

    what: str
    detail: str
    verdict: dict[str, Any]
    tried: bool = True
    end: Reason | None = None


class Attempting:
    """Carries out one attempt under its lease."""

    def __init__(self, context: Context, run: Run, lease: Lease) -> None:
        self._context = context
        self._run = run
        self._lease = lease
        self._retried = False
        self._speech = Speech(context, run)
        self._asking: Asking
        self._streams = False

    async def go(self) -> Answer | Failed:
        """Ask until there is an answer, or a reason to go elsewhere.

        Raises:
            LeaseLost: the call is not ours any more.
        """
        try:
            request = KINDS[self._run.kind].request.model_validate(json.loads(self._run.request))
            work = work_of(self._context.settings, self._run.provider, self._run.kind, request)
            prompt = work.build(request)
            loop = ToolLoop(self._context, self._run, work.offer(request) if work.offer else None, prompt, self._speech)
            self._streams = work.streams
            told = self._speech.piece if self._streams and self._run.streams else None
            self._asking = Asking(self._context, self._run, self._lease, streams=self._streams, on_delta=told)
        except UnknownTool as error:
            return self._ended("unknown_tool", str(error), Reason.INVALID)
        except Exception as error:  # noqa: BLE001 - whatever is wrong with this request is its own matter
            return self._ended("bug", f"the prompt could not be built: {type(error).__name__}", Reason.BUG)
        try:
            result = await loop.resume()
            if result is not None:
                return Answer(result, loop.usage(), loop.model, 0, asked=False)
            while True:
                end = await self._turn(work, request, loop)
                if end is not None:
                    return end
        except TranscriptFull:
            return self._ended("tools_full", "its tool calls have filled all the room for them", Reason.REJECTED)

    async def _turn(self, work: KindWork, request: BaseModel, loop: ToolLoop) -> Answer | Failed | None:
        """One model turn; None where the model called tools, and is to be asked again."""
        self._retried = False
        prompt = loop.prompt
        while True:
            read: Reply | None = None
            limit = token_limit(prompt, self._run.provider, self._context.settings)
            try:
                prompt = fitted(prompt, self._run.provider, limit)
                reply = await self._asking.ask(prompt)
                read = Reply(reply.text, reply.finish_reason, reply.refusal, tuple(dict(c) for c in reply.tool_calls))
                if prompt.tools and loop.is_turn(read):
                    called = await loop.take(read, reply)
                    if called is None:
                        return await self._next(reply, loop.prompt)
                    return self._answer(called, loop.usage(), reply)
                result = loop.finished(work.read(read, request))
                if self._streams:
                    self._speech.settled(result.text)
                return self._answer(result, loop.usage(reply.usage), reply)
            except Refused as refused:
                failure = ProviderFailure(row(refused.row), refused.fault)
            except Unusable as unusable:
                failure = ProviderFailure(row(unusable.row), unusable.fault)
            except ProviderFailure as provider_failure:
                failure = provider_failure
                self._run.requests += failure.requests
                if failure.billed is Billed.NO:
                    self._run.bill.not_charged()
            except (LeaseLost, TranscriptFull):
                raise
            except Exception as error:  # noqa: BLE001 - the reading of a reply is our code: a bug ends this call alone
                return self._ended("bug", f"the reply could not be read: {type(error).__name__}", Reason.BUG)
            prompt = second_prompt(work, prompt, failure, read, limit)
            again = await self._again(failure, prompt)
            if again is not None:
                return again
            self._speech.restart(failure.row.name)

    async def _again(self, failure: ProviderFailure, prompt: Prompt) -> Failed | None:
        """None where the same provider is asked once more, its next request granted; else where the call goes."""
        delay_s = self._delay_s(failure)
        if delay_s is None:
            return self._failed(failure)
        run = self._run
        self._retried = True
        try:
            granted = await self._granted(run.report(**verdict_of(failure, run.provider)), delay_s, prompt)
        except (RedisError, OSError):
            return self._failed(failure)  # no grant, no request; the move is written when the ledger is back
        if granted is None or granted.word == "denied":
            return self._failed(failure)
        if granted.word == "lost":
            raise LeaseLost
        run.granted(granted)
        self._lease.rid = run.rid
        return None

    def _answer(self, result: BaseModel, usage: Usage, reply: chat_reply.Reply) -> Answer:
        return Answer(result, usage, reply.model, reply.ms, reply.first_byte_ms, slow=self._asking.was_slow(reply))

    async def _next(self, reply: chat_reply.Reply, prompt: Prompt) -> Failed | None:
        """None where the same provider may be asked for the next model turn; else where the call goes."""
        run = self._run
        report = run.report("ok", ms=reply.ms, slow=self._asking.was_slow(reply) or None)
        until = time.monotonic() + run.left_s()
        granted = await self._context.insist(lambda: self._granted(report, 0.0, prompt), until=until)
        if granted is not None and granted.word == "lost":
            raise LeaseLost
        if granted is None or granted.word == "denied":
            why = granted.text("why") if granted else "lease"
            return Failed("denied", f"no further request to this provider: {why}", {"verdict": "none"})
        run.granted(granted)
        self._lease.rid = run.rid
        return None

    async def _granted(self, report: Report, delay_s: float, prompt: Prompt) -> Granted | None:
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
            money=money_for(prompt, run.provider, self._context.settings),
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
            if delay_s > SHORT_WAIT_S and self._asking.kept_ms:
                return None
        left_s = self._run.left_s() - self._asking.kept_ms / 1000
        return delay_s if delay_s < left_s / 2 else None

    def _failed(self, failure: ProviderFailure) -> Failed:
        provider, where = self._run.provider, failure.row
        verdict = verdict_of(failure, provider)
        if where.name == "caller_deadline" and self._asking.kept_ms:
            return Failed(where.name, failure.detail, verdict)  # time was kept back for the next one
        return Failed(where.name, failure.detail, verdict, end=reason_of(where))

    @staticmethod
    def _ended(what: str, detail: str, reason: Reason) -> Failed:
        return Failed(what, detail, {"verdict": "none"}, end=reason)
