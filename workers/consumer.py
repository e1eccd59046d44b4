"""Celery's consumer, hardened: whatever a message holds, the worker lives and logs none of it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from celery import Celery, signals
from celery.exceptions import BackendError, InvalidTaskError, NotRegistered
from celery.utils.log import get_logger
from celery.utils.objects import Bunch
from celery.worker import state as worker_state
from celery.worker.consumer import Consumer as CeleryConsumer
from celery.worker.state import maybe_shutdown
from kombu.exceptions import ContentDisallowed, OperationalError

from workers import control
from workers.bootsteps import announce
from workers.events import use_dispatcher
from workers.message import fault_of, task_id, task_name

if TYPE_CHECKING:
    from collections.abc import Callable

logger = get_logger(__name__)

RECONNECT_S = 3
"""The longest pause between two tries to connect."""

_SPEAKABLE = re.compile(r"[\w.:-]{1,100}")


class Consumer(CeleryConsumer):
    """A consumer that refuses what is no task message: logged without its text, stored as a failure of its own id."""

    class Blueprint(CeleryConsumer.Blueprint):
        """Celery's steps and ours."""

        default_steps = (*CeleryConsumer.Blueprint.default_steps, "workers.bootsteps:Announce")

    def __init__(self, *args: Any, app: Celery, worker_options: dict[str, Any] | None = None, **kwargs: Any) -> None:
        control.install()
        use_dispatcher(app)
        # Gossip reads every event of every worker, and nothing here listens to it.
        super().__init__(*args, app=app, worker_options={**(worker_options or {}), "without_gossip": True}, **kwargs)

    def ensure_connected(self, conn: Any) -> Any:
        """Connect to the broker, trying for as long as it takes; Celery would pause up to 30 s between two tries."""

        def on_error(error: Exception, interval_s: float) -> None:
            logger.error("Cannot connect to %s: %s; trying again in %.0f s", conn.as_uri(), error, interval_s)

        connected = conn.ensure_connection(
            on_error, None, interval_start=1, interval_step=1, interval_max=RECONNECT_S, callback=maybe_shutdown
        )
        self.first_connection_attempt = False
        return connected

    def create_task_handler(self, **options: Any) -> Callable[[Any], None]:
        """Celery's handler of messages, behind our checks."""
        handle = super().create_task_handler(**options)

        def on_task_received(message: Any) -> None:
            try:
                payload = message.payload
            except Exception as error:  # noqa: BLE001 - a body may break any decoder in any way
                return self.on_decode_error(message, error)
            fault = fault_of(message.headers, payload)
            if fault:
                return self._refuse(message, fault, payload)
            try:
                handle(message)
            except Exception as error:
                if self._is_outage(error) or task_id(message.headers, payload) in worker_state.requests:
                    raise
                self._refuse(message, "The message cannot be used as a task.", payload, error)

        return on_task_received

    def on_decode_error(self, message: Any, exc: Exception) -> None:
        """Refuse a body that cannot be read."""
        if isinstance(exc, ContentDisallowed):
            fault = "The content type must be application/json."
        else:
            fault = "The body cannot be decoded: it must be JSON in UTF-8."
        self._refuse(message, fault, error=exc)

    def on_unknown_message(self, body: Any, message: Any) -> None:
        """Refuse what names no task."""
        self._refuse(message, "The message names no task.", body)

    def on_invalid_task(self, body: Any, message: Any, exc: Exception) -> None:
        """Refuse what Celery itself found wrong."""
        if isinstance(exc, ContentDisallowed):
            return self.on_decode_error(message, exc)
        self._refuse(message, "The message cannot be used as a task.", body, exc)
        return None

    def on_unknown_task(self, body: Any, message: Any, exc: Exception) -> None:  # noqa: ARG002 - Celery's signature
        """Refuse a task that this worker does not have; as with Celery, it fails as NotRegistered."""
        payload = message.payload
        name, id_ = task_name(message.headers, payload), task_id(message.headers, payload)
        shown = name if name and _SPEAKABLE.fullmatch(name) else "(no speakable name)"
        logger.error("Refused task %s: this worker has no task %s", id_, shown)
        message.reject_log_error(logger, self.connection_errors)
        self._store_failure(message, id_, name, NotRegistered(name))
        signals.task_unknown.send(sender=self, message=message, exc=exc, name=name, id=id_)

    def add_task_queue(self, queue: str, *args: Any, **options: Any) -> None:
        """Consume one queue more, and say so."""
        super().add_task_queue(queue, *args, **options)
        announce(self)

    def cancel_task_queue(self, queue: str) -> None:
        """Consume one queue less, and say so."""
        super().cancel_task_queue(queue)
        announce(self)

    def _refuse(self, message: Any, fault: str, payload: Any = None, error: Exception | None = None) -> None:
        """Drop a message for good; its id, where it has one, fails with the sentence `fault`."""
        id_ = task_id(message.headers, payload)
        logger.error(
            "Refused a message of %s bytes%s: %s%s",
            len(message.body or b""),
            f" for task {id_}" if id_ and _SPEAKABLE.fullmatch(id_) else "",
            fault,
            f" ({type(error).__name__})" if error else "",
        )
        if not message.acknowledged:
            message.reject_log_error(logger, self.connection_errors)
        self._store_failure(message, id_, task_name(message.headers, payload), InvalidTaskError(fault))
        signals.task_rejected.send(sender=self, message=message, exc=None)

    def _store_failure(self, message: Any, id_: str | None, name: str | None, error: Exception) -> None:
        if id_ is None:
            return
        request = Bunch(
            name=name,
            chord=None,
            root_id=None,
            correlation_id=message.properties.get("correlation_id"),
            reply_to=message.properties.get("reply_to"),
            errbacks=None,
        )
        try:
            self.app.backend.mark_as_failure(id_, error, request=request)
        except Exception as failure:  # noqa: BLE001 - the worker lives without it
            logger.error("Could not store the failure of a refused message: %s", type(failure).__name__)
        if self.event_dispatcher:
            self.event_dispatcher.send("task-failed", uuid=id_, exception=f"{type(error).__name__}()")

    def _is_outage(self, error: Exception) -> bool:
        # kombu counts KeyError among Redis's connection errors; here it is a field that a message lacks.
        outages = (*self.connection_errors, *self.channel_errors, OperationalError, BackendError)
        return isinstance(error, outages) and not isinstance(error, KeyError)
