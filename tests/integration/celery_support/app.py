"""A Celery application with trivial tasks, on the project's own configuration; hooks and tasks leave marks in Redis."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import time
from typing import Any

import redis
from celery import Celery

from workers import loop
from workers.hooks import WorkerHooks, use_hooks

app = Celery("celery-support", task_cls="workers.base_task:CallTask")
app.config_from_object("celeryconfig")
app.conf.include = ()
# A test's wish, such as worker_soft_shutdown_timeout=3.
app.conf.update(
    {name: float(value) for name, value in (pair.split("=") for pair in os.environ.get("CONF", "").split())}
)


@functools.cache
def store() -> redis.Redis:
    return redis.Redis.from_url(os.environ["REDIS_URL"], socket_timeout=2, decode_responses=True)


def mark(what: str) -> None:
    """Append to the list that `WorkerProcess.marks` reads."""
    store().rpush("marks", what)


def hooks(_: Celery) -> WorkerHooks:
    async def last() -> None:
        await asyncio.sleep(0)
        _quietly("stop")

    return WorkerHooks(
        on_start=lambda running: _quietly(f"start {running is loop.current()}"),
        on_consuming=lambda queues, concurrency: mark(f"consuming {','.join(queues)} {concurrency}"),
        on_consumer_stopped=lambda: _quietly("consumer stopped"),
        on_stopping=lambda: _quietly("stopping"),
        on_stop=last,
        on_revoked=lambda ids: mark(f"revoked {','.join(ids)}"),
    )


def _quietly(what: str) -> None:
    with contextlib.suppress(redis.RedisError):  # the test took Redis away
        mark(what)


use_hooks(app, hooks)


@app.task
def echo(value: Any = None, dispatch: Any = None) -> Any:
    return value


@app.task
def fail(text: str) -> None:
    raise ValueError(text)


@app.task
def wait(seconds: float, handed_back: Any = None) -> Any:
    """Sleep on the loop; cancelled, tell the reason and return `handed_back` if there is one."""

    async def sleeping() -> Any:
        mark(f"began {seconds}")
        try:
            await asyncio.sleep(seconds)
        except asyncio.CancelledError as cancelled:
            _quietly(f"cancelled {cancelled.args[0]}")
            if handed_back is None:
                raise
            return handed_back
        return "slept"

    return loop.current().run(sleeping())


@app.task
def block(seconds: float) -> str:
    """Hold the thread; nobody can cancel it."""
    mark(f"began {seconds}")
    time.sleep(seconds)
    return "blocked"


@app.task
def deaf(seconds: float) -> str:
    """Run a coroutine that ignores its cancellation."""

    async def stubborn() -> str:
        mark("began")
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            try:
                await asyncio.sleep(left)
            except asyncio.CancelledError:
                continue
        return "deaf"

    return loop.current().run(stubborn())
