"""The queues, declared alike by client and workers on either broker, and the message that travels on them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from kombu import Exchange, Queue

from understudy import tracing
from understudy.contracts.call import FORMAT_VERSION
from understudy.providers import queue_names

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from celery import Celery

    from understudy.providers import Provider

CONFIRM_S = 5.0
"""How long RabbitMQ may take to say that it has a message; for ever is the default."""

CANVAS_FIELDS = {
    "callbacks": "link",
    "errbacks": "link_error",
    "chain": "chain",
    "chord": "chord",
    "group": "group_id",
    "group_index": "group_index",
    "root_id": "root_id",
    "parent_id": "parent_id",
    "ignore_result": "ignore_result",
    "reply_to": "reply_to",
    "replaced_task_nesting": "replaced_task_nesting",
}
"""What a task's request calls it → what `send_task` calls it: all that a plain caller's message must carry on."""


def declared(providers: Sequence[Provider]) -> tuple[Queue, ...]:
    """The queues as kombu declares them: durable, each with a direct exchange of its own name."""
    return tuple(Queue(name, Exchange(name, type="direct"), routing_key=name) for name in queue_names(providers))


def publish(
    app: Celery,
    *,
    kind: str,
    call_id: str,
    queue: str,
    sent: int,
    canvas: str = "",
    task_id: str = "",
    trace: str = "",
    producer: Any = None,
) -> None:
    """Publish a call's message: its id and the time of its dispatch, nothing that a user wrote.

    Args:
        canvas: a plain caller's links, chain, chord and group as `canvas_of` kept them; empty for a bot's call.
        task_id: Celery's, where it is not the call's: of one of the tasks that share a call by its key.
        trace: the call's `traceparent`; the message carries it on, or that of the sending itself.
        producer: where one is held for many messages.
    """
    dispatch: dict[str, Any] = {"v": FORMAT_VERSION, "sent": sent}
    if task_id:
        dispatch["id"] = call_id
    options: dict[str, Any] = json.loads(canvas) if canvas else {"ignore_result": True}
    with tracing.span(f"send {queue}", "PRODUCER", parent=trace, attributes=_about(kind, call_id, queue)) as span:
        header = span.traceparent or trace
        if header:
            options["headers"] = {tracing.HEADER: header}
        app.send_task(
            kind,
            args=(),
            kwargs={"dispatch": dispatch},
            task_id=task_id or call_id,
            queue=queue,
            argsrepr="()",
            kwargsrepr="{}",
            expires=None,
            add_to_parent=False,
            producer=producer,
            confirm_timeout=CONFIRM_S,
            **options,
        )


def _about(kind: str, call_id: str, queue: str) -> dict[str, str] | None:
    if not tracing.is_on():
        return None
    return tracing.message("send", queue, call_id) | {"understudy.kind": kind}


def canvas_of(request: Mapping[str, Any]) -> str:
    """What every re-publish of a plain caller's message has to carry, as JSON.

    Args:
        request: the fields of the task's request in the worker.
    """
    kept = {name: request.get(field) for field, name in CANVAS_FIELDS.items()}
    kept = {name: value for name, value in kept.items() if value not in (None, [])}
    kept["ignore_result"] = bool(request.get("ignore_result"))
    priority = (request.get("delivery_info") or {}).get("priority")
    if priority:
        kept["priority"] = priority
    return json.dumps(kept)
