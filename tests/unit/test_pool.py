"""The pool as its process starts."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest
from celery import Celery

from workers.hooks import WorkerHooks, use_hooks
from workers.pool import TaskPool

if TYPE_CHECKING:
    from workers.loop import LoopThread


def test_a_worker_that_cannot_start_leaves_no_loop_running(monkeypatch: pytest.MonkeyPatch) -> None:
    was_running = []

    def refuse(loop: LoopThread) -> None:
        was_running.append(loop.running)
        raise SystemExit(1)

    app = Celery("refusing", set_as_current=False)
    use_hooks(app, lambda _: WorkerHooks(on_start=refuse))
    monkeypatch.setattr("workers.pool.hide_user_text", lambda: None)
    pool = TaskPool(1, app=app)
    with pytest.raises(SystemExit):
        pool.on_start()
    assert was_running == [True]
    assert not pool.loop.running
    assert "understudy-loop" not in [thread.name for thread in threading.enumerate()]
