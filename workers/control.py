"""The remote control command that differs from Celery's: `revoke` also tells our hook."""

from __future__ import annotations

from typing import Any

from celery.utils.functional import maybe_list
from celery.worker import control as celery_control

from workers.hooks import call, hooks_of

_celery_revoke = celery_control.revoke


def revoke(state: Any, task_id: Any, terminate: bool = False, signal: Any = None, **options: Any) -> Any:
    """Revoke task by task id (or list of ids)."""
    ids = [each for each in maybe_list(task_id) or [] if isinstance(each, str)]
    # First, so that the ledger knows of it before the coroutine is cancelled.
    call(hooks_of(state.app).on_revoked, ids)
    return _celery_revoke(state, ids, terminate, signal, **options)


def install() -> None:
    """Put the command in the place of Celery's; twice does no harm."""
    meta = celery_control.Panel.meta["revoke"]
    celery_control.Panel.register(variadic=meta.variadic, signature=meta.signature)(revoke)
