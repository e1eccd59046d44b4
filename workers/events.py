"""Celery's event dispatcher, which must not hold up the worker when nobody takes its events."""

from __future__ import annotations

from collections import deque
from time import monotonic
from typing import TYPE_CHECKING, Any

from celery.events.dispatcher import EventDispatcher

if TYPE_CHECKING:
    from celery import Celery

QUIET_S = 10.0
"""How long events are kept back after one could not be sent: each try may block for the broker's socket timeout."""

KEPT = 10_000
"""How many events are kept for the time when the broker is back; the oldest go first."""


class Dispatcher(EventDispatcher):
    """Tries each event once.

    Celery repeats a heartbeat until it gets through, in the thread that consumes: with a broker that hangs, the worker
    would neither reconnect nor end.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._quiet_until = 0.0
        super().__init__(*args, **kwargs)
        self._outbound_buffer: deque[tuple[Any, str]] = deque(maxlen=KEPT)

    def _publish(self, event: Any, producer: Any, routing_key: str, **_: Any) -> None:
        if monotonic() < self._quiet_until:
            self._outbound_buffer.append((event, routing_key))
            return
        kept = len(self._outbound_buffer)
        super()._publish(event, producer, routing_key, retry=False)
        if len(self._outbound_buffer) > kept:
            self._quiet_until = monotonic() + QUIET_S


def use_dispatcher(app: Celery) -> None:
    """Have the worker of `app` send its events through this dispatcher; twice does no harm."""
    app.events.dispatcher_cls = "workers.events:Dispatcher"
