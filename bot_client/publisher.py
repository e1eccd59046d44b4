"""Publishes the calls' messages from a thread of its own, so that no broker ever holds up the event loop."""

from __future__ import annotations

import logging
import ssl
import threading
import time
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

# Celery loads its parts when they are first used; loaded here, they are not loaded beside a running event loop.
import celery.app.amqp
import celery.app.base
import celery.backends.base
import kombu.messaging
from kombu import Connection

from understudy import queues
from understudy.redis_client import celery_url

if TYPE_CHECKING:
    from collections.abc import Sequence

    from celery import Celery

    from understudy.providers import Provider
    from understudy.settings import Settings

logger = logging.getLogger("understudy.client")

MAX_BATCH = 200
REDIS = "understudy.one_client:Transport"
REPLY_S, CONNECT_S = 2.0, 1.0
"""Nobody waits for the thread, but a broker that hangs must not keep it for long."""

BREATH_EVERY, BREATH_S = 4, 0.0002
"""After so many messages the thread lets go of the interpreter's lock: Python takes it away only after 5 ms."""

CLOSE_S = 2.0


@dataclass(frozen=True)
class Message:
    """What one message says."""

    kind: str
    call_id: str
    queue: str
    sent: int
    trace: str = ""
    """The call's `traceparent`."""


class Publisher:
    """One thread with one connection to the broker.

    What cannot be published, tried twice, is left to the reconciler: the ledger holds the call.
    """

    def __init__(self, settings: Settings, providers: Sequence[Provider]) -> None:
        self._settings = settings
        self._queues = queues.declared(providers)
        self._messages: SimpleQueue[Message | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="understudy-publisher", daemon=True)
        self._ready = threading.Event()
        self._app: Celery | None = None
        self._connection: Connection | None = None
        self._producer: Any = None

    def start(self) -> None:
        """Start the thread, which connects before the first message comes."""
        self._thread.start()

    def wait_ready(self, timeout_s: float) -> None:
        """Block until it has connected, or failed to."""
        self._ready.wait(timeout_s)

    def put(self, message: Message) -> None:
        """Publish a message soon; returns at once."""
        self._messages.put(message)

    def stop(self) -> None:
        """Publish what waits, then end; returns at once."""
        self._messages.put(None)

    def close(self) -> None:
        """Publish what waits, then end; blocks for `CLOSE_S` at most."""
        self.stop()
        if self._thread.ident is not None:
            self._thread.join(CLOSE_S)

    def _run(self) -> None:
        try:
            self._connect()
        except Exception as error:  # noqa: BLE001 - kombu lets through whatever a broker's library raises
            logger.warning("broker_away error=%s", type(error).__name__)
            self._disconnect()
        self._ready.set()
        more = True
        while more:
            batch, more = self._batch()
            if batch:
                self._publish_twice(batch)
        self._disconnect()

    def _batch(self) -> tuple[list[Message], bool]:
        """Wait for a message and take all that came with it; whether more may come."""
        batch = [self._messages.get()]
        while len(batch) < MAX_BATCH and batch[-1] is not None:
            try:
                batch.append(self._messages.get_nowait())
            except Empty:
                break
        return [message for message in batch if message is not None], batch[-1] is not None

    def _publish_twice(self, batch: Sequence[Message]) -> None:
        for last in (False, True):
            try:
                self._publish(batch)
            except Exception as error:  # noqa: BLE001 - as above; the calls are safe in the ledger
                self._disconnect()
                if last:
                    logger.warning("publish_failed calls=%d error=%s", len(batch), type(error).__name__)
            else:
                return

    def _publish(self, batch: Sequence[Message]) -> None:
        if self._producer is None:
            self._connect()
        with self._producer.batch(MAX_BATCH):
            for count, message in enumerate(batch, 1):
                queues.publish(
                    self._app,
                    kind=message.kind,
                    call_id=message.call_id,
                    queue=message.queue,
                    sent=message.sent,
                    trace=message.trace,
                    producer=self._producer,
                )
                if count % BREATH_EVERY == 0:
                    time.sleep(BREATH_S)

    def _connect(self) -> None:
        if self._app is None:
            self._app = publishing_app(self._queues)
        self._connection = connection_from(self._settings)
        self._connection.ensure_connection(max_retries=1, interval_start=0, timeout=CONNECT_S)
        self._producer = self._app.amqp.Producer(self._connection, auto_declare=False)
        for queue in self._queues:
            self._producer.maybe_declare(queue)
        # Made at their first use, 30 ms together: before the first message instead of with it.
        _ = self._app.backend, self._app.amqp.router, self._app.amqp.send_task_message

    def _disconnect(self) -> None:
        connection, self._connection, self._producer = self._connection, None, None
        if connection is not None:
            try:
                connection.close()
            except Exception as error:  # noqa: BLE001 - as above
                logger.debug("broker_close_failed error=%s", type(error).__name__)


def publishing_app(declared: Sequence[kombu.Queue]) -> celery.Celery:
    """A Celery application that only publishes: no result backend, no task, nothing of the bot's own application."""
    app = celery.app.base.Celery(
        "understudy", set_as_current=False, autofinalize=False, backend=celery.backends.base.DisabledBackend
    )
    app.conf.update(
        task_queues=list(declared),
        task_create_missing_queues=False,
        task_default_queue=declared[0].name,
        task_default_queue_type="classic",
        task_serializer="json",
        accept_content=["json"],
        task_send_sent_event=False,
        # A retry within a batch would put a part of it on another connection: the batch is tried again as a whole.
        task_publish_retry=False,
        enable_utc=True,
    )
    return app


def connection_from(settings: Settings) -> Connection:
    """A connection to the broker, made at its first use; a URL in Celery's own variables has no say."""
    url = settings.broker_url or settings.redis_url
    options: dict[str, Any] = {"confirm_publish": True, "read_timeout": REPLY_S, "write_timeout": REPLY_S}
    if not url.startswith("amqp"):
        options = {"socket_timeout": REPLY_S, "socket_connect_timeout": CONNECT_S, "socket_keepalive": True}
        if settings.understudy_sentinel_master:
            password = settings.understudy_sentinel_password
            options["master_name"] = settings.understudy_sentinel_master
            options["sentinel_kwargs"] = {"password": password.get_secret_value()} if password else {}
    tls = url.startswith(("rediss://", "amqps://"))
    return Connection(
        celery_url(url),
        transport=REDIS if url.startswith(("redis://", "rediss://")) else None,
        connect_timeout=CONNECT_S,
        ssl={"ssl_cert_reqs": ssl.CERT_REQUIRED} if tls and url.startswith("rediss") else None,
        transport_options=options,
    )
