"""The loop's thread, and what an abort of a job does to the coroutine it waits for."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import pytest
from celery.exceptions import Ignore, SoftTimeLimitExceeded, TimeLimitExceeded

from tests.support.polling import eventually
from workers import loop as loop_module
from workers.job import HARD_LIMIT, SHUTDOWN, SOFT_LIMIT, TERMINATED, Job, JobAborted
from workers.loop import LoopThread

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine


class Waiting:
    """A coroutine that waits until it is cancelled, and then does as it is told."""

    def __init__(self, then: Callable[[], Any] | None = None) -> None:
        self.begun = threading.Event()
        self.messages: list[str] = []
        self._then = then

    async def run(self) -> Any:
        self.begun.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError as cancelled:
            self.messages.append(cancelled.args[0])
            if self._then is None:
                raise
            return self._then()


def in_a_job(loop: LoopThread, job: Job, make: Callable[[], Coroutine[Any, Any, Any]]) -> Callable[[], Any]:
    """Run a coroutine in a job on another thread; the function returned waits for its end."""
    ended: list[tuple[str, Any]] = []

    def work() -> None:
        with job.entered():
            try:
                ended.append(("value", loop.run(make())))
            except BaseException as error:  # noqa: BLE001 - whatever it is, the test looks at it
                ended.append(("error", error))

    thread = threading.Thread(target=work, daemon=True)
    thread.start()

    def outcome() -> Any:
        thread.join(30)
        kind, what = ended[0]
        if kind == "error":
            raise what
        return what

    return outcome


async def answer(value: int) -> int:
    await asyncio.sleep(0)
    return value


def raises(error: Exception) -> Callable[[], Any]:
    def act() -> Any:
        raise error

    return act


def test_there_is_no_loop_outside_a_worker() -> None:
    with pytest.raises(RuntimeError, match="it is no worker"):
        loop_module.current()


def test_the_loop_that_runs_is_the_current_one(loop: LoopThread) -> None:
    assert loop_module.current() is loop
    loop.stop()
    with pytest.raises(RuntimeError):
        loop_module.current()
    with pytest.raises(RuntimeError, match="not running"):
        loop.run(answer(1))
    with pytest.raises(RuntimeError, match="not running"):
        loop.submit(answer(1))


def test_coroutines_run_in_the_thread_of_the_loop(loop: LoopThread) -> None:
    async def where() -> str:
        return threading.current_thread().name

    assert loop.run(where()) == "understudy-loop"
    assert loop.submit(answer(2)).result(10) == 2
    called = threading.Event()
    loop.call_soon(called.set)
    assert called.wait(10)


def test_waiting_on_the_loop_for_the_loop_is_refused(loop: LoopThread) -> None:
    async def inside() -> None:
        loop.run(answer(1))

    with pytest.raises(RuntimeError, match="await the coroutine instead"):
        loop.run(inside())


def test_a_blocked_loop_shows_its_lag(loop: LoopThread) -> None:
    released = threading.Event()
    loop.call_soon(released.wait, 30)
    eventually(lambda: loop.lag_s > 0.5)
    released.set()
    eventually(lambda: loop.lag_s < 0.2)


def test_stopping_cancels_what_still_runs() -> None:
    loop, waiting = LoopThread(), Waiting()
    loop.start()
    future = loop.submit(waiting.run())
    assert waiting.begun.wait(10)
    loop.stop()
    assert future.cancelled()
    assert waiting.messages == [SHUTDOWN]


def test_a_job_gives_what_its_coroutine_gives(loop: LoopThread) -> None:
    assert in_a_job(loop, Job(1), lambda: answer(3))() == 3


@pytest.mark.parametrize(
    ("reason", "then", "expected"),
    [
        (SOFT_LIMIT, None, SoftTimeLimitExceeded),
        (HARD_LIMIT, None, TimeLimitExceeded),
        (SHUTDOWN, None, JobAborted),
        (TERMINATED, None, JobAborted),
        # What the coroutine does about it.
        (SOFT_LIMIT, lambda: "handed back", "handed back"),
        (HARD_LIMIT, lambda: "handed back", "handed back"),
        (SHUTDOWN, lambda: "handed back", "handed back"),
        (TERMINATED, lambda: "handed back", JobAborted),  # Celery has announced it as revoked
        (SOFT_LIMIT, raises(ValueError()), ValueError),
        (HARD_LIMIT, raises(ValueError()), TimeLimitExceeded),
        (SHUTDOWN, raises(ValueError()), JobAborted),
        (SHUTDOWN, raises(Ignore()), Ignore),
    ],
)
def test_an_abort_reaches_the_coroutine_and_decides_what_its_thread_meets(
    loop: LoopThread, reason: str, then: Callable[[], Any] | None, expected: Any
) -> None:
    job, waiting = Job(1, soft_limit_s=1, hard_limit_s=2), Waiting(then)
    outcome = in_a_job(loop, job, waiting.run)
    assert waiting.begun.wait(10)
    job.abort(reason)
    if isinstance(expected, str):
        assert outcome() == expected
    else:
        with pytest.raises(expected):
            outcome()
    assert waiting.messages == [reason]


def test_a_job_aborted_before_its_coroutine_begins_does_not_begin_it(loop: LoopThread) -> None:
    job, waiting = Job(1), Waiting()
    job.abort(SHUTDOWN)
    with pytest.raises(JobAborted):
        in_a_job(loop, job, waiting.run)()
    assert not waiting.begun.is_set()


def test_a_second_coroutine_runs_after_the_first_has_met_the_abort(loop: LoopThread) -> None:
    job, waiting = Job(1), Waiting(lambda: "handed back")

    def both() -> Any:
        with job.entered():
            return loop.run(waiting.run()), loop.run(answer(4))

    result: list[Any] = []
    thread = threading.Thread(target=lambda: result.append(both()), daemon=True)
    thread.start()
    assert waiting.begun.wait(10)
    job.abort(SHUTDOWN)
    thread.join(10)
    assert result == [("handed back", 4)]


def test_a_final_reason_follows_a_soft_limit_and_the_first_final_one_stands(loop: LoopThread) -> None:
    job, begun = Job(1, soft_limit_s=1), threading.Event()
    seen: list[str] = []

    async def stubborn() -> None:
        begun.set()
        while len(seen) < 2:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError as cancelled:
                seen.append(cancelled.args[0])
        raise asyncio.CancelledError

    outcome = in_a_job(loop, job, stubborn)
    assert begun.wait(10)
    job.abort(SOFT_LIMIT)
    eventually(lambda: seen == [SOFT_LIMIT])
    job.abort(SHUTDOWN)
    job.abort(TERMINATED)
    with pytest.raises(JobAborted, match=SHUTDOWN):
        outcome()
    assert seen == [SOFT_LIMIT, SHUTDOWN]


def test_a_thread_does_not_wait_for_ever_for_a_coroutine_that_ignores_its_end(
    loop: LoopThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.job.GIVE_UP_S", 0.05)
    job, begun, over = Job(1), threading.Event(), threading.Event()

    async def deaf() -> None:
        begun.set()
        while not over.is_set():
            try:
                await asyncio.sleep(0.01)
            except asyncio.CancelledError:
                continue

    outcome = in_a_job(loop, job, deaf)
    assert begun.wait(10)
    job.abort(SHUTDOWN)
    with pytest.raises(JobAborted):
        outcome()
    over.set()


def test_a_coroutine_that_cancels_itself_fails_its_task(loop: LoopThread) -> None:
    async def gives_up() -> None:
        raise asyncio.CancelledError

    with pytest.raises(RuntimeError, match="cancelled from within"):
        in_a_job(loop, Job(1), gives_up)()
