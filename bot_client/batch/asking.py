"""Asks row after row, a bounded number at a time, and hands the verdicts out as they come."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from bot_client.batch.pace import Pace
from bot_client.batch.verdict import SAME_TEXT, Verdict, failed_verdict, verdict_of
from understudy.errors import CallError, Unavailable, UnderstudyError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from bot_client.batch.answers import Answers, Cache
    from bot_client.batch.plan import Plan
    from bot_client.batch.progress import Progress
    from bot_client.batch.row import Row
    from bot_client.call import Call
    from bot_client.interface import Client

TRIES = 3
"""How often a row is submitted again whose call an outage ended; what waits out an outage does not count."""

AGAIN_S = 1.0
LEAVE_S = 5.0
"""How long rows in flight may take to end when the job has to."""

OUTAGE = frozenset({"deadline", "no_provider", "no_workers", "budget"})
"""Reasons that may say nothing about the row itself."""

OWN_FAULTS = frozenset(
    {
        "bad_request",
        "context_too_long",
        "content_filter",
        "refusal",
        "empty",
        "not_json",
        "wrong_schema",
        "token_limit",
        "bug",
        "policy",
        "time_limit",
    }
)
"""What an attempt says that the row itself brought about."""


class Asking:
    """The rows in flight.

    Args:
        size: rows that may be in flight now; 0 while no provider may be asked.
        in_flight: calls that are open.
        answers: of this job.
        cache, model: answers of earlier jobs that this model gave.
        withdraw_s: a row that was opened so long ago during an outage is taken back.
    """

    def __init__(
        self,
        client: Client,
        plan: Plan,
        progress: Progress,
        answers: Answers,
        cache: Cache | None = None,
        model: str = "",
        withdraw_s: float | None = None,
    ) -> None:
        self.size = 0
        self.in_flight = 0
        self._client = client
        self._plan = plan
        self._progress = progress
        self._answers = answers
        self._cache = cache
        self._model = model
        self._withdraw_s = withdraw_s
        self._pace = Pace(plan.rate)
        self._asking: dict[str, asyncio.Future[Verdict]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._ended: asyncio.Queue[Verdict | None] = asyncio.Queue()
        self._unread = 0
        self._wake = asyncio.Event()
        self._reading: asyncio.Task[None] | None = None
        self._fault: BaseException | None = None
        self._stopping = False

    def resize(self, size: int) -> None:
        """Let so many rows be in flight."""
        if size != self.size:
            self.size = size
            self._wake.set()

    def stop(self) -> None:
        """Begin no further row; those in flight are still handed out."""
        self._stopping = True
        if self._reading:
            self._reading.cancel()

    def leave(self) -> None:
        """Wait for no row any more."""
        for task in self._tasks:
            task.cancel()

    def fail(self, fault: BaseException) -> None:
        """End with an error, after the rows in flight that end soon."""
        self._fault = self._fault or fault
        self.stop()
        asyncio.get_running_loop().call_later(LEAVE_S, self.leave)

    async def verdicts(self, rows: AsyncIterator[Row]) -> AsyncIterator[Verdict]:
        """The verdicts, in the order in which they come; no row is read ahead of the window."""
        feeding = asyncio.create_task(self._feed(rows))
        try:
            while (verdict := await self._ended.get()) is not None:
                yield verdict
                self._unread -= 1
                self._wake.set()
            if self._fault:
                raise self._fault
        finally:
            self.stop()
            self.leave()
            await asyncio.gather(feeding, return_exceptions=True)

    async def _feed(self, rows: AsyncIterator[Row]) -> None:
        self._reading = asyncio.create_task(self._read(rows))
        await asyncio.wait([self._reading])
        if not self._reading.cancelled() and (fault := self._reading.exception()):
            self.fail(fault)
        while self._tasks:
            await asyncio.wait(self._tasks)
        self._ended.put_nowait(None)

    async def _read(self, rows: AsyncIterator[Row]) -> None:
        while not self._stopping:
            await self._until(lambda: self._unread < self.size)
            try:
                row = await anext(rows)
            except StopAsyncIteration:
                return
            await self._begin(row)

    async def _until(self, holds: Callable[[], bool]) -> None:
        while not holds():
            self._wake.clear()
            await self._wake.wait()

    async def _begin(self, row: Row) -> None:
        self._unread += 1
        if row.request is None:
            self._ended.put_nowait(Verdict(row.id, error="invalid", detail=row.fault))
        elif known := self._known(row):
            self._ended.put_nowait(known)
        else:
            if row.content not in self._asking:
                await self._pace.turn()
            task = asyncio.create_task(self._answer(row))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def _known(self, row: Row) -> Verdict | None:
        known = self._answers.get(row.content, row.id)
        if known is None and self._cache:
            known = self._cache.get(row.content, self._model, row.id)
            if known:
                self._answers.put(row.content, known)
        return known

    async def _answer(self, row: Row) -> None:
        """One row; rows that ask the same wait for the first of them."""
        first = self._asking.get(row.content)
        try:
            if first is not None:
                verdict = replace(await asyncio.shield(first), id=row.id, attempts=0, cost_microusd=0, ms=0)
                verdict = replace(verdict, source=SAME_TEXT)
            else:
                verdict = await self._first(row)
        except Exception as error:  # noqa: BLE001 - raised where the verdicts are read
            self.fail(error)
        else:
            self._ended.put_nowait(verdict)

    async def _first(self, row: Row) -> Verdict:
        told = self._asking[row.content] = asyncio.get_running_loop().create_future()
        try:
            verdict = await self._ask(row)
            if verdict.result is not None:
                self._answers.put(row.content, verdict)
                if self._cache:
                    self._cache.put(row.content, verdict)
            told.set_result(verdict)
            return verdict
        finally:
            told.cancel()
            del self._asking[row.content]

    async def _ask(self, row: Row) -> Verdict:
        self._progress.asked += 1
        tries = 0
        while True:
            await self._until(lambda: self.size > 0)
            try:
                verdict = await self._once(row)
            except Unavailable:
                await asyncio.sleep(AGAIN_S)
            except CallError as error:
                if tries >= TRIES or not by_outage(error):
                    return failed_verdict(row, error)
                tries += 1
                self._progress.retries += 1
                await asyncio.sleep(AGAIN_S)
            except UnderstudyError as error:
                return Verdict(row.id, error=type(error).__name__, detail=str(error))
            else:
                if verdict:
                    return verdict
                self._progress.retries += 1

    async def _once(self, row: Row) -> Verdict | None:
        self.in_flight += 1
        try:
            return await self._called(row)
        finally:
            self.in_flight -= 1

    async def _called(self, row: Row) -> Verdict | None:
        """Open a row's call and wait for its end; None where it was taken back."""
        plan = self._plan
        options: dict[str, Any] = {"local_only": True} if plan.local_only else {}
        if plan.only:
            options["only"] = plan.only
        call = await self._client.submit(
            "moderation",
            row.request,  # type: ignore[arg-type]
            job=plan.job,
            key=f"{plan.job}:{row.content}",
            spend=plan.spend,
            **options,
        )
        try:
            while True:
                try:
                    return verdict_of(row, await call.result(self._withdraw_s))
                except TimeoutError:
                    if self.size == 0 and await self._taken_back(call):
                        return None
        except asyncio.CancelledError:
            if not plan.named:  # nobody will ask for it again
                await self._client._give_up(call.id)  # noqa: SLF001
            raise

    @staticmethod
    async def _taken_back(call: Call[Any]) -> bool:
        try:
            return await call.cancel()
        except UnderstudyError:
            return False


def by_outage(error: CallError) -> bool:
    """Whether a call ended for want of a provider alone, and nothing that it met tells of the row itself."""
    reason = (error.outcome or {}).get("reason", "deadline")
    return reason in OUTAGE and not any(attempt.get("what") in OWN_FAULTS for attempt in error.attempts)
