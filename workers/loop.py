"""The asyncio loop of a worker process, in a thread of its own."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeVar

from workers.job import SHUTDOWN, current_job

try:
    from uvloop import new_event_loop
except ImportError:  # there is none for Windows, and none is needed
    from asyncio import new_event_loop  # type: ignore[assignment]

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from concurrent.futures import Future

T = TypeVar("T")

LAG_BEAT_S = 0.25
"""How often the loop notes its own lateness."""

STOP_S = 5.0
"""How long `stop` waits for what still runs on the loop, and then for its thread."""

_current: LoopThread | None = None


class LoopThread:
    """One asyncio loop in a daemon thread; Celery's threads hand their coroutines to it and wait."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._next_beat = 0.0
        self._late_s = 0.0

    @property
    def running(self) -> bool:
        """Whether the loop takes coroutines."""
        return self._loop is not None

    @property
    def lag_s(self) -> float:
        """How many seconds late the loop's latest (or overdue) beat is."""
        return max(self._late_s, monotonic() - self._next_beat) if self.running else 0.0

    def start(self) -> None:
        """Start the thread and make this the loop of the process."""
        global _current  # noqa: PLW0603 - one loop for each process
        if self.running:
            raise RuntimeError("the loop is already running")
        loop = new_event_loop()
        self._loop = loop
        self._thread = threading.Thread(target=self._main, args=(loop,), name="understudy-loop", daemon=True)
        self._next_beat = monotonic()
        loop.call_soon(self._beat)
        self._thread.start()
        _current = self

    def stop(self) -> None:
        """Cancel what still runs with "shutdown", wait a bounded time for it, and end the thread."""
        global _current  # noqa: PLW0603 - one loop for each process
        loop, thread = self._loop, self._thread
        if loop is None or thread is None:
            return
        with contextlib.suppress(TimeoutError):
            asyncio.run_coroutine_threadsafe(_cancel_all(), loop).result(STOP_S)
        self._loop = None
        loop.call_soon_threadsafe(loop.stop)
        thread.join(STOP_S)
        if _current is self:
            _current = None

    def submit(self, coro: Coroutine[Any, Any, T]) -> Future[T]:
        """Start `coro` on the loop; from any thread, without waiting."""
        return asyncio.run_coroutine_threadsafe(coro, self._running_loop(coro))

    def call_soon(self, function: Callable[..., object], *args: object) -> None:
        """Call `function` on the loop soon; from any thread."""
        self._running_loop().call_soon_threadsafe(function, *args)

    def call_later(self, delay_s: float, function: Callable[..., object], *args: object) -> asyncio.TimerHandle:
        """Call `function` on the loop after `delay_s` seconds; only from the loop."""
        return self._running_loop().call_later(delay_s, function, *args)

    def run(self, coro: Coroutine[Any, Any, T]) -> T:
        """Run `coro` on the loop and block until it ends.

        In a job of the pool, an abort cancels the coroutine with a message: "terminated", "soft_limit", "hard_limit"
        or "shutdown". If it returns a value nevertheless, so does `run`, except after "terminated", where Celery has
        announced the task as revoked already. A second coroutine of the same job meets the abort only if the first
        did not.

        Raises:
            SoftTimeLimitExceeded, TimeLimitExceeded: a time limit ended it.
            JobAborted: it was terminated, or shut down without a value; leave it to the pool.
            RuntimeError: called on the loop itself, or outside a worker.
        """
        if threading.current_thread() is self._thread:
            coro.close()
            raise RuntimeError("run() would wait on the loop for itself: await the coroutine instead")
        job = current_job()
        if job is None:
            return self.submit(coro).result()
        self._running_loop(coro)
        return job.run(self, coro)

    def _running_loop(self, coro: Coroutine[Any, Any, Any] | None = None) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            if coro is not None:
                coro.close()
            raise RuntimeError("the worker's loop is not running")
        return self._loop

    def _main(self, loop: asyncio.AbstractEventLoop) -> None:
        asyncio.set_event_loop(loop)
        loop.run_forever()
        loop.close()

    def _beat(self) -> None:
        now = monotonic()
        self._late_s = max(0.0, now - self._next_beat)
        self._next_beat = now + LAG_BEAT_S
        asyncio.get_running_loop().call_later(LAG_BEAT_S, self._beat)


def current() -> LoopThread:
    """The loop of this process.

    Raises:
        RuntimeError: this process is no worker, or its pool has not started.
    """
    if _current is None:
        raise RuntimeError("no loop runs in this process: it is no worker, or its pool has not started")
    return _current


async def _cancel_all() -> None:
    tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in tasks:
        task.cancel(SHUTDOWN)
    await asyncio.gather(*tasks, return_exceptions=True)
