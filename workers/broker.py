"""The broker as the worker's other parts see it: how deep a queue is, and publishing; both block."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog
from kombu.common import maybe_declare

from understudy import queues

if TYPE_CHECKING:
    from celery import Celery

    from workers.ends import Publish

UNKNOWN_DEPTH = 1_000_000
"""Of a queue that cannot be asked: it may hold the message, so none is sent again."""

ACQUIRE_S = 5.0
"""How long to wait for one of the pool's connections."""

log = structlog.get_logger("understudy.broker")


class Broker:
    """Blocking calls, for Celery's threads or a thread of their own."""

    def __init__(self, app: Celery) -> None:
        self._app = app

    def depth(self, queue: str) -> int:
        """How many messages wait in a queue."""
        try:
            with self._app.connection_for_read() as connection:
                channel = connection.default_channel
                if connection.transport.driver_type == "redis":
                    return int(channel._size(queue))  # noqa: SLF001 - a passive declare raises for an empty queue there
                return int(channel.queue_declare(queue, passive=True).message_count)
        except Exception as error:  # noqa: BLE001 - each transport has its own errors, and all mean: not known
            log.warning("queue depth unknown", queue=queue, error=type(error).__name__)
            return UNKNOWN_DEPTH

    def answers(self) -> str:
        """Connect anew: an empty text, or the name of the error why that fails. Never raises."""
        try:
            with self._app.connection_for_read() as connection:
                connection.ensure_connection(max_retries=1, timeout=ACQUIRE_S)
                if connection.transport.driver_type == "redis":
                    connection.default_channel.client.ping()
        except Exception as error:  # noqa: BLE001 - each transport has its own errors
            return type(error).__name__
        return ""

    def warm(self) -> None:
        """Connect and declare the queues before the first message would have to wait for it. Never raises."""
        try:
            with self._app.producer_pool.acquire(block=True, timeout=ACQUIRE_S) as producer:
                for queue in list(self._app.amqp.queues.values()):
                    # A copy: bound itself, it would take the worker's consumer along to this connection.
                    maybe_declare(queue.bind(producer.channel))
        except Exception as error:  # noqa: BLE001 - each transport has its own errors; the first message tries again
            log.info("publisher not warmed", error=type(error).__name__)

    def publish(self, messages: list[Publish]) -> None:
        """Publish, each tried twice; what fails is left to the reconciler, for the ledger has it. Never raises."""
        for number, message in enumerate(messages):
            if not self._published(message) and not self._published(message):
                # With the broker away each would take its time, and nobody would look at the others' deadlines.
                log.warning("not published, left to the reconciler", call=message.call_id, calls=len(messages) - number)
                return

    def _published(self, message: Publish) -> bool:
        try:
            with self._app.producer_pool.acquire(block=True, timeout=ACQUIRE_S) as producer:
                queues.publish(
                    self._app,
                    kind=message.kind,
                    call_id=message.call_id,
                    queue=message.queue,
                    sent=message.sent,
                    canvas=message.canvas,
                    task_id=message.task_id,
                    trace=message.trace,
                    producer=producer,
                )
        except Exception as error:  # noqa: BLE001 - each transport has its own errors; a call that moved on never fails by them
            log.warning("publishing failed", call=message.call_id, error=type(error).__name__)
            return False
        return True
