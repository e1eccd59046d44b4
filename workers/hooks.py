"""What a worker tells the parts that live beside Celery: heartbeat, reconciler, prober."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from celery import Celery
from celery.utils.log import get_logger

if TYPE_CHECKING:
    from workers.loop import LoopThread

logger = get_logger(__name__)


def _nothing(*_: object) -> None:
    return None


@dataclass(frozen=True)
class WorkerHooks:
    """Functions that the worker calls; each defaults to nothing, none may block for long.

    Args:
        on_start: once, when pool and loop run and nothing is consumed yet; an exception stops the worker.
        on_consuming: consuming begins, again, or from other queues: the queues and the concurrency.
        on_consumer_stopped: consuming has ended, for a lost connection or for good.
        on_stopping: once, at the beginning of the shutdown.
        on_stop: once, after the last job, while the loop still runs; may return a coroutine, which gets a bounded time.
        on_revoked: the ids that a `revoke` names, in every worker that hears it.
        on_revoke_stored: the id of a task that this worker had; its result says now that it was revoked.
    """

    on_start: Callable[[LoopThread], None] = _nothing
    on_consuming: Callable[[list[str], int], None] = _nothing
    on_consumer_stopped: Callable[[], None] = _nothing
    on_stopping: Callable[[], None] = _nothing
    on_stop: Callable[[], Coroutine[Any, Any, None] | None] = _nothing
    on_revoked: Callable[[list[str]], None] = _nothing
    on_revoke_stored: Callable[[str], None] = _nothing


HooksFactory = Callable[[Celery], WorkerHooks]
_NONE = WorkerHooks()


def use_hooks(app: Celery, factory: HooksFactory) -> None:
    """Have the workers of `app` make their hooks with `factory` when they start."""
    app.understudy_hooks_factory = factory


def make_hooks(app: Celery) -> WorkerHooks:
    """Make the hooks of this worker process; the pool calls it once."""
    factory: HooksFactory | None = getattr(app, "understudy_hooks_factory", None)
    hooks = factory(app) if factory else _NONE
    app.understudy_hooks = hooks
    return hooks


def hooks_of(app: Celery) -> WorkerHooks:
    """The hooks of this worker process; without a running worker, ones that do nothing."""
    hooks: WorkerHooks = getattr(app, "understudy_hooks", _NONE)
    return hooks


def call(hook: Callable[..., object], *args: object) -> object:
    """Call a hook; its exception is logged by type and goes no further, so that it cannot stop the consumer."""
    try:
        return hook(*args)
    except Exception as error:  # noqa: BLE001 - a hook is foreign code
        logger.error("A worker hook failed: %s", type(error).__name__)
        return None
