"""What a client counts and times, for a bot that serves Prometheus itself; needs the package prometheus-client."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from understudy.contracts import KINDS
from understudy.contracts.call import Status
from understudy.errors import UnderstudyError

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

    from bot_client.call import End
    from bot_client.tracked import Tracked

CALL_S = (0.1, 0.25, 0.5, 1, 2, 3, 5, 8, 12, 15, 20, 30, 45, 60, 90, 120, 300)
"""The deadlines of the kinds (15, 30, 120) are bounds of buckets."""

OTHER = "other"
STATUSES = ("done", "degraded", "failed", "cancelled", "unknown")


class ClientMetrics:
    """Give it to a client: `Understudy(settings, metrics=ClientMetrics())`; clients of one process share one.

    Args:
        registry: None for the package's global one.

    Raises:
        ImportError: prometheus-client is not installed.
    """

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        try:
            from prometheus_client import REGISTRY, Counter, Gauge, Histogram  # noqa: PLC0415 - a bot may do without it
        except ImportError:
            raise ImportError(
                "ClientMetrics needs the package prometheus-client: install it beside understudy."
            ) from None
        made: dict[str, Any] = {"registry": REGISTRY if registry is None else registry}
        self._calls = Counter("understudy_client_calls", "Calls that ended here.", ["kind", "status"], **made)
        buckets = {"buckets": CALL_S, **made}
        self._call_s = Histogram("understudy_client_call_seconds", "From submitting to the end.", ["kind"], **buckets)
        self._open = Gauge("understudy_client_open_calls", "Calls that are waited for.", **made)
        lag = "Entries that the latest read of the inbox brought at once."
        self._lag = Gauge("understudy_client_inbox_lag_entries", lag, **made)
        for kind in KINDS:
            for status in STATUSES:
                self._calls.labels(kind, status)

    def held(self) -> None:
        """A call is waited for."""
        self._open.inc()

    def forgotten(self) -> None:
        """It is no more."""
        self._open.dec()

    def read(self, entries: int) -> None:
        """The inbox was read."""
        self._lag.set(entries)

    def ended(self, tracked: Tracked, end: End) -> None:
        """A call ended for this process."""
        kind = tracked.kind.name if tracked.kind.name in KINDS else OTHER
        self._calls.labels(kind, _status(end)).inc()
        self._call_s.labels(kind).observe(time.monotonic() - tracked.held_at)


def _status(end: End) -> str:
    if isinstance(end, UnderstudyError):
        return "unknown"
    if end.status is Status.DONE:
        return "degraded" if end.degraded else "done"
    return "cancelled" if end.status is Status.CANCELLED else "failed"
