"""What a Celery task does: hand its message to the loop, and act on how that ended, in Celery's own thread."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from celery.exceptions import Ignore

from understudy.contracts.call import Status
from understudy.contracts.failure import call_error
from understudy.errors import CallError, InvalidRequest, VersionMismatch
from understudy.logs import bound
from workers.arrival import read_arrival
from workers.base_task import CallTask
from workers.ends import Ended, Publish
from workers.runtime import runtime

if TYPE_CHECKING:
    from workers.arrival import Arrival
    from workers.runtime import Runtime


class KindTask(CallTask):
    """A task of one kind; Celery having stored a plain caller's result, the ledger is told."""

    # expected ends: one line in the log, no traceback
    throws = (CallError, InvalidRequest, VersionMismatch)
    abstract = True

    def after_return(self, _status: str, _retval: Any, task_id: str, *_: Any) -> None:
        """Called after the result was stored."""
        if getattr(self.request, "understudy_tell", False):
            runtime().told(task_id)


def execute(task: KindTask, kind: str, request: object, call: object, dispatch: object) -> dict[str, Any] | None:
    """Work on one message.

    Returns:
        A plain caller's outcome as JSON types; None for a bot's call, which is told through its inbox.

    Raises:
        CallError: the call ended without an answer.
        KeyConflict: the key of the call belongs to another request.
        InvalidRequest, VersionMismatch: the message is none that can be worked on.
        Ignore: the call goes on elsewhere, or somebody else has it.
    """
    parts = runtime()
    about = dict(task.request.__dict__)
    token = uuid.uuid4().hex
    arrival = read_arrival(about, kind, request, call, dispatch, providers=parts.by_name, token=token)
    # On each line of the call, here and on the loop, which gets a copy.
    with bound(call=arrival.call_id, kind=kind, provider=arrival.provider.name):
        return _work_on(task, parts, arrival)


def _work_on(task: KindTask, parts: Runtime, arrival: Arrival) -> dict[str, Any] | None:
    task.request.understudy_tell = True  # also of an error that breaks off what follows, when Celery has stored it
    end = parts.run(parts.work.on(arrival))
    if isinstance(end, Publish):
        parts.broker.publish([end])
        raise Ignore
    if not isinstance(end, Ended):
        raise Ignore
    outcome, plain = end.outcome, end.plain
    if end.waiters - {arrival.task}:
        parts.tell_others(arrival.call_id, arrival.task or "")
    if outcome.status is Status.CANCELLED:
        if plain:
            stores = not task.request.ignore_result
            task.backend.mark_as_revoked(task.request.id, "revoked", request=task.request, store_result=stores)
            parts.told(task.request.id)
        raise Ignore
    if arrival.task is not None:
        if arrival.task not in end.waiters:  # Celery has its outcome, or is to hear that it was revoked
            raise Ignore
        plain = True
    task.request.understudy_tell = plain
    if outcome.status is Status.FAILED:
        raise call_error(outcome)
    return outcome.model_dump(mode="json") if plain else None
