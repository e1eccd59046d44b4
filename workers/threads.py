"""Threads that run jobs and never keep a process from ending."""

from __future__ import annotations

import threading
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class DaemonThreads:
    """At most `limit` daemon threads, started as they are needed.

    Python joins the threads of a ThreadPoolExecutor at exit, so one job stuck in code that nobody can cancel would keep
    the worker from ending for ever. Daemon threads die with the process.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._threads: set[threading.Thread] = set()
        self._work: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._idle = threading.Semaphore(0)

    def __len__(self) -> int:
        return len(self._threads)

    def submit(self, work: Callable[[], None]) -> None:
        """Run `work` in a thread as soon as one is free; `work` must not raise."""
        self._work.put(work)
        if not self._idle.acquire(blocking=False) and len(self._threads) < self.limit:
            thread = threading.Thread(target=self._serve, name=f"understudy-job-{len(self._threads) + 1}", daemon=True)
            self._threads.add(thread)
            thread.start()

    def shutdown(self) -> None:
        """Drop what has not begun and let each thread end after what it runs."""
        try:
            while True:
                self._work.get_nowait()
        except Empty:
            pass
        for _ in self._threads:
            self._work.put(None)

    def _serve(self) -> None:
        while True:
            work = self._work.get()
            if work is None:
                return
            work()
            del work  # or the last job's arguments would live until the next one
            self._idle.release()
