"""A job: one task execution in the pool, and how it is aborted."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from celery.exceptions import Ignore, Reject, Retry, SoftTimeLimitExceeded, TimeLimitExceeded
from celery.utils.log import get_logger

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator

    from workers.loop import LoopThread

T = TypeVar("T")
logger = get_logger(__name__)

TERMINATED = "terminated"
SOFT_LIMIT = "soft_limit"
HARD_LIMIT = "hard_limit"
SHUTDOWN = "shutdown"

GIVE_UP_S = 5.0
"""How long a coroutine may take to end once it was cancelled for good; then its thread stops waiting for it."""

_DELIBERATE = (Ignore, Reject, Retry)
"""What a task raises to tell Celery something: never replaced by the reason of an abort."""

_here = threading.local()


class JobAborted(BaseException):
    """The job was aborted without a result: nothing is stored and its message is not acknowledged.

    A BaseException, because Celery's tracer stores every Exception as the result of the task.
    """


class Job:
    """One task execution.

    Args:
        job_id: what Celery calls the "pid" of the job; never a process.
        soft_limit_s, hard_limit_s: the time limits, or None.
    """

    def __init__(self, job_id: int, soft_limit_s: float | None = None, hard_limit_s: float | None = None) -> None:
        self.id = job_id
        self.soft_limit_s = soft_limit_s
        self.hard_limit_s = hard_limit_s
        self.reason: str | None = None
        self.abandoned = False
        self.begun = False
        self.timers: list[asyncio.TimerHandle] = []
        self._lock = threading.Lock()
        self._task: asyncio.Task[Any] | None = None
        self._outcome: Future[Any] | None = None
        self._undelivered: str | None = None
        self._loop: LoopThread | None = None

    # What Celery's Request wants of the handle that a pool returns.
    def terminate(self, signal: object = None) -> None:
        """Nothing: the pool's `terminate_job` has been told as well."""

    def abort(self, reason: str) -> None:
        """Cancel the job's coroutine with `reason` as the message; from any thread.

        A soft limit may be followed by a reason that is final; the first final one stands. With no coroutine running,
        the next one meets it at once.
        """
        with self._lock:
            if self.reason not in (None, SOFT_LIMIT):
                return
            self.reason = reason
            if self._task is None or self._loop is None:
                self._undelivered = reason
                return
            loop = self._loop
        loop.call_soon(self._cancel, reason)

    def run(self, loop: LoopThread, coro: Coroutine[Any, Any, T]) -> T:
        """Run `coro` on the loop and block until it ends; `LoopThread.run` tells what comes back."""
        with self._lock:
            undelivered, self._undelivered = self._undelivered, None
            self._loop = loop
        if undelivered is not None:
            coro.close()
            raise self._error(undelivered)
        outcome: Future[T] = Future()
        loop.call_soon(self._begin, coro, outcome)
        return outcome.result()

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Within it, this thread works on this job."""
        _here.job = self
        try:
            yield
        finally:
            _here.job = None

    def _begin(self, coro: Coroutine[Any, Any, T], outcome: Future[T]) -> None:
        task = asyncio.get_running_loop().create_task(coro)
        task.add_done_callback(partial(self._ended, outcome))
        with self._lock:
            self._task, self._outcome = task, outcome
            undelivered, self._undelivered = self._undelivered, None
        if undelivered is not None:
            self._cancel(undelivered)

    def _cancel(self, reason: str) -> None:
        task, outcome = self._task, self._outcome
        if task is None or outcome is None:
            with self._lock:
                self._undelivered = reason
            return
        task.cancel(reason)
        if reason != SOFT_LIMIT:
            asyncio.get_running_loop().call_later(GIVE_UP_S, self._give_up, outcome, reason)

    def _give_up(self, outcome: Future[Any], reason: str) -> None:
        if not outcome.done():
            logger.error("Job %s ignores its cancellation (%s): no longer waiting for it", self.id, reason)
            outcome.set_exception(self._error(reason))

    def _ended(self, outcome: Future[T], task: asyncio.Task[T]) -> None:
        with self._lock:
            self._task = self._outcome = None
        error = asyncio.CancelledError() if task.cancelled() else task.exception()
        if outcome.done():
            return
        if error is None and self.reason != TERMINATED:
            outcome.set_result(task.result())
        else:
            outcome.set_exception(self._translated(error))

    def _translated(self, error: BaseException | None) -> BaseException:
        """What the thread is to raise for what the coroutine raised; None stands for a value that came too late."""
        cancelled = isinstance(error, asyncio.CancelledError)
        if error is None or self.reason == TERMINATED:
            return self._error(TERMINATED)
        if self.reason is None:
            return RuntimeError("the coroutine of the job was cancelled from within") if cancelled else error
        if isinstance(error, _DELIBERATE) or (self.reason == SOFT_LIMIT and not cancelled):
            return error
        return self._error(self.reason)

    def _error(self, reason: str) -> BaseException:
        error: BaseException = JobAborted(reason)
        if reason == SOFT_LIMIT:
            error = SoftTimeLimitExceeded(self.soft_limit_s)
        elif reason == HARD_LIMIT:
            error = TimeLimitExceeded(self.hard_limit_s)
        return error


def current_job() -> Job | None:
    """The job that this thread works on, or None."""
    return getattr(_here, "job", None)
