"""Celery's events, sent from a thread of their own: a broker that is slow or away holds up no message."""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any

from celery.events.dispatcher import EventDispatcher
from kombu import Producer

if TYPE_CHECKING:
    from celery import Celery

GATHER_S = 0.05
"""Events of so long leave together: sent one by one, they were a third of what a busy worker's main thread did."""

TOGETHER = 200
"""Of one message, at most."""

QUIET_S = 10.0
"""How long events are kept back after one could not be sent: each try may block for the broker's socket timeout."""

KEPT = 10_000
"""How many messages of events are kept for the time when the broker is back; the oldest go first."""

FLUSH_S = 1.0
"""How long the end of a worker waits for its last events."""


class Sender:
    """The thread, and its connection; one for a process."""

    def __init__(self, app: Celery) -> None:
        self._app = app
        self._events: deque[tuple[Any, str, EventDispatcher]] = deque(maxlen=KEPT)
        self._turn = threading.Lock()
        """Of what waits and whether all is sent: one without the other would be wrong."""
        self._more = threading.Event()
        self._sent = threading.Event()
        self._thread: threading.Thread | None = None
        self._connection: Any = None
        self._producer: Any = None

    def put(self, event: Any, routing_key: str, of: EventDispatcher) -> None:
        """Send an event, or a list of them, soon."""
        with self._turn:
            self._events.append((event, routing_key, of))
            self._sent.clear()
        self._more.set()
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="understudy-events", daemon=True)
            self._thread.start()

    def flush(self, limit_s: float) -> None:
        """Wait until all are sent, for a limited time."""
        if self._thread is not None:
            self._sent.wait(limit_s)

    def _run(self) -> None:
        while True:
            self._more.wait()
            time.sleep(GATHER_S)
            self._more.clear()
            try:
                self._send_all()
            except Exception:  # noqa: BLE001 - kombu lets through whatever a broker's library raises
                self._disconnect()
                time.sleep(QUIET_S)
                self._more.set()
            with self._turn:
                if not self._events:
                    self._sent.set()

    def _send_all(self) -> None:
        while self._events:
            event, routing_key, of = self._events.popleft()
            while isinstance(event, list) and len(event) < TOGETHER and self._follows(routing_key):
                event = [*event, *self._events.popleft()[0]]
            try:
                self._publish(event, routing_key, of)
            except Exception:
                self._events.appendleft((event, routing_key, of))
                raise

    def _follows(self, routing_key: str) -> bool:
        """Whether more of the same group waits."""
        return bool(self._events) and isinstance(self._events[0][0], list) and self._events[0][1] == routing_key

    def _publish(self, event: Any, routing_key: str, of: EventDispatcher) -> None:
        if self._producer is None:
            self._connection = self._app.connection_for_write()
            self._producer = Producer(self._connection, exchange=of.exchange, auto_declare=False)
        self._producer.publish(
            event,
            routing_key=routing_key,
            exchange=of.exchange.name,
            declare=[of.exchange],
            serializer=of.serializer,
            headers=of.headers,
            delivery_mode=of.delivery_mode,
        )

    def _disconnect(self) -> None:
        connection, self._connection, self._producer = self._connection, None, None
        try:
            if connection is not None:
                connection.close()
        except Exception:  # noqa: BLE001 - as above
            return


_senders: dict[int, Sender] = {}


class Dispatcher(EventDispatcher):
    """Hands its events to the sender of the process.

    Celery's own sends in the thread that consumes, and repeats a heartbeat until it gets through: with a broker that
    hangs, the worker would neither reconnect nor end.
    """

    def _publish(self, event: Any, producer: Any, routing_key: str, **_: Any) -> None:
        if producer is not None:
            self._sender.put(event, routing_key, self)

    def close(self) -> None:
        """Celery's: no event follows."""
        super().close()
        self._sender.flush(FLUSH_S)

    @property
    def _sender(self) -> Sender:
        return _senders.setdefault(id(self.app), Sender(self.app))


def use_dispatcher(app: Celery) -> None:
    """Have the worker of `app` send its events through this dispatcher; twice does no harm."""
    app.events.dispatcher_cls = "workers.events:Dispatcher"
