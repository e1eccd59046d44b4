"""Celery's threads pool, with what threads lack: one asyncio loop, time limits, terminate, a shutdown that ends."""

from __future__ import annotations

import inspect
import threading
from itertools import count
from time import monotonic
from typing import TYPE_CHECKING, Any

from billiard.einfo import ExceptionInfo
from celery.concurrency.thread import TaskPool as ThreadsPool
from celery.exceptions import Ignore, Reject, Retry, WorkerLostError
from celery.utils.log import get_logger

from workers import hooks as worker_hooks
from workers.job import GIVE_UP_S, HARD_LIMIT, SHUTDOWN, SOFT_LIMIT, TERMINATED, Job, JobAborted
from workers.loop import LoopThread
from workers.privacy import hide_user_text
from workers.threads import DaemonThreads

if TYPE_CHECKING:
    from collections.abc import Callable

logger = get_logger(__name__)

DEFAULT_GRACE_S = 10.0
HAND_BACK_S = GIVE_UP_S + 1.0
"""How long aborted jobs may take to hand their call back; those that are still there are left to their fate."""

THREADS = 2
"""For each call at once: of the messages that are prefetched beyond it, calls are begun while others are asked."""

FINAL_HOOK_S = 5.0
"""How long the last hook may take."""


class TaskPool(ThreadsPool):
    """Threads that wait for coroutines on one loop.

    A job's "pid" is its number in this pool, never a process.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.executor = DaemonThreads(self.limit * THREADS)
        self.loop = LoopThread()
        self._numbers = count(1)
        self._jobs: dict[int, Job] = {}
        # Re-entrant: a cold shutdown stops the pool from a signal handler, on top of what the main thread was doing.
        self._changed = threading.Condition(threading.RLock())
        self._stopping = self._stopped = False

    def start(self) -> None:
        """Start loop and hooks; threads come with the work."""
        super().start()
        self._does_debug = False  # or Celery logs the arguments of every task

    def on_start(self) -> None:
        """Celery's hook: before anything is consumed."""
        hide_user_text()
        self.loop.start()
        try:
            worker_hooks.make_hooks(self.app).on_start(self.loop)
        except BaseException:
            # The process is about to end: a uvloop that is still running then can crash the interpreter.
            self.loop.stop()
            raise

    def on_apply(
        self,
        target: Callable[..., Any],
        args: tuple[Any, ...] | None = None,
        kwargs: dict[str, Any] | None = None,
        callback: Callable[..., Any] | None = None,
        accept_callback: Callable[..., Any] | None = None,
        error_callback: Callable[..., Any] | None = None,
        timeout_callback: Callable[..., Any] | None = None,
        soft_timeout: float | None = None,
        timeout: float | None = None,
        **_: Any,
    ) -> Job:
        """Run `target`, Celery's tracer of one task, in a thread."""
        job = Job(
            next(self._numbers),
            soft_timeout or self.options.get("soft_timeout"),
            timeout or self.options.get("timeout"),
        )

        def execute() -> None:
            if not self._begin(job):
                return
            try:
                with job.entered():
                    if job.soft_limit_s or job.hard_limit_s:
                        self.loop.call_soon(self._limit, job, timeout_callback)
                    if accept_callback:
                        accept_callback(job.id, monotonic())
                    if job.reason is not None:  # revoked before it began, or just in time for a shutdown
                        return
                    returned = target(*(args or ()), **(kwargs or {}))
                if callback and not job.abandoned:
                    callback(returned)
            except JobAborted:
                pass  # not acknowledged: a shutdown requeues it, a revoke has settled it
            except BaseException as error:  # noqa: BLE001 - a thread has nobody to raise it to
                self._failed(error, error_callback)
            finally:
                self._ended(job)

        with self._changed:
            if self._stopped:
                return job  # not acknowledged, so its message is requeued
            self._jobs[job.id] = job
        self.executor.submit(execute)
        return job

    def terminate_job(self, pid: int, signal: object = None, reason: str = TERMINATED) -> None:  # noqa: ARG002
        """Cancel the coroutine of a job with `reason`; an unknown job is one that has ended."""
        job = self._jobs.get(pid)
        if job is not None:
            job.abort(reason)

    def on_close(self) -> None:
        """Celery's hook: the shutdown begins."""
        if not self._stopping:
            self._stopping = True
            worker_hooks.call(worker_hooks.hooks_of(self.app).on_stopping)

    def on_stop(self) -> None:
        """Wait for the running jobs, abort those that outlast the grace, and end within a bounded time."""
        if self._stopped:
            return
        self.on_close()
        self._stopped = True
        self.executor.shutdown()
        self._drop_unbegun()
        grace_s = getattr(self.app.conf, "understudy_shutdown_grace_s", None)
        self._wait(DEFAULT_GRACE_S if grace_s is None else grace_s, while_unaborted=True)
        for job in list(self._jobs.values()):
            job.abort(SHUTDOWN)
        self._wait(HAND_BACK_S)
        if self._jobs:
            logger.error("%s jobs cannot be cancelled: the worker ends without them", len(self._jobs))
        self._final_hook()
        self.loop.stop()

    def on_terminate(self) -> None:
        """The end of a cold shutdown, which aborted the jobs before."""
        self.on_stop()

    def _get_info(self) -> dict[str, Any]:
        return {
            "implementation": "workers.pool:TaskPool",
            "max-concurrency": self.limit,
            "threads": len(self.executor),
            "jobs": len(self._jobs),
        }

    def _wait(self, limit_s: float, while_unaborted: bool = False) -> None:
        """Wait until no job is left; with `while_unaborted`, only as long as one of them was not told to end."""
        until = monotonic() + limit_s
        with self._changed:
            while self._jobs and (left_s := until - monotonic()) > 0:
                if while_unaborted and all(job.reason not in (None, SOFT_LIMIT) for job in self._jobs.values()):
                    return
                self._changed.wait(min(left_s, 0.5))

    def _drop_unbegun(self) -> None:
        with self._changed:
            for number in [number for number, job in self._jobs.items() if not job.begun]:
                del self._jobs[number]

    def _begin(self, job: Job) -> bool:
        with self._changed:
            job.begun = job.id in self._jobs  # dropped by a shutdown: its message is requeued
            return job.begun

    def _ended(self, job: Job) -> None:
        with self._changed:
            self._jobs.pop(job.id, None)
            self._changed.notify_all()
        if job.timers and self.loop.running:
            self.loop.call_soon(_cancel_timers, job)

    def _failed(self, error: BaseException, error_callback: Callable[..., Any] | None) -> None:
        """Report what came out of the tracer itself, such as a result that could not be stored.

        As a lost worker, so that the message is requeued: a failure would be acknowledged.
        """
        if not isinstance(error, Ignore | Reject | Retry):
            error = WorkerLostError(f"the task was not concluded: {type(error).__name__}")
        try:
            if error_callback:
                error_callback(ExceptionInfo((type(error), error, error.__traceback__)))
        except Exception as second:  # noqa: BLE001 - as above
            logger.error("A job could not be reported: %s", type(second).__name__)

    def _limit(self, job: Job, timeout_callback: Callable[..., Any] | None) -> None:
        """Arm the time limits; runs on the loop."""
        for limit_s, act in ((job.soft_limit_s, self._soft_limit), (job.hard_limit_s, self._hard_limit)):
            if limit_s and job.id in self._jobs:
                job.timers.append(self.loop.call_later(limit_s, act, job, timeout_callback))

    def _soft_limit(self, job: Job, timeout_callback: Callable[..., Any] | None) -> None:
        if job.id in self._jobs and job.reason is None:
            job.abort(SOFT_LIMIT)
            if timeout_callback:
                timeout_callback(True, job.soft_limit_s)

    def _hard_limit(self, job: Job, timeout_callback: Callable[..., Any] | None) -> None:
        if job.id in self._jobs:
            job.abort(HARD_LIMIT)
            self.loop.call_later(HAND_BACK_S, self._overdue, job, timeout_callback)

    def _overdue(self, job: Job, timeout_callback: Callable[..., Any] | None) -> None:
        """Fail a job that blocks its thread past the hard limit; its late result counts no more."""
        if job.id in self._jobs and job.reason == HARD_LIMIT and timeout_callback:
            job.abandoned = True
            # Storing the failure is blocking work: not for the loop.
            threading.Thread(target=timeout_callback, args=(False, job.hard_limit_s), daemon=True).start()

    def _final_hook(self) -> None:
        last = worker_hooks.call(worker_hooks.hooks_of(self.app).on_stop)
        if inspect.iscoroutine(last):
            try:
                self.loop.submit(last).result(FINAL_HOOK_S)
            except Exception as error:  # noqa: BLE001 - a hook is foreign code
                logger.error("The last worker hook failed: %s", type(error).__name__)


def _cancel_timers(job: Job) -> None:
    for timer in job.timers:
        timer.cancel()
    job.timers.clear()
