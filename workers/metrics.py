"""What this worker process counts and times, for Prometheus.

A label's values are names that the installation has: kinds, providers, queues, rows of the failure table. Anything else
becomes `other`, so that no id, no text and no unbounded number of series can get in.
"""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

import understudy
from understudy.contracts import KINDS
from understudy.contracts.call import Reason, Status
from understudy.providers import queue_names
from understudy.state.health import CLOSED, HALF_OPEN, OPEN
from workers.failures import TABLE

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from understudy.contracts.call import AnyOutcome, Attempt
    from understudy.providers import Provider
    from understudy.state.health import Snapshot

CALL_S = (0.1, 0.25, 0.5, 1, 2, 3, 5, 8, 12, 15, 20, 30, 45, 60, 90, 120, 300)
"""The deadlines of the kinds (15, 30, 120) are bounds of buckets, and so is what a person takes for an instant."""

WAIT_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 600)
FIRST_S = (0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1, 1.5, 2, 3, 5, 8, 15, 30, 60)
LAG_S = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10)

OTHER = "other"
NOBODY = ""
"""The provider of a call that nobody answered."""

ENDS = ("done", "degraded", "failed", "cancelled")
ALERTS = ("budget", "paid_share")
ACTIONS = ("worker_lost", "waited", "unparked", "resent", "parked", "ended", "told", "unreadable")
STATES = (CLOSED, OPEN, HALF_OPEN)
WHATS = frozenset(
    {row.name for row in TABLE}
    | {"answered", "worker_lost", "waited", "handed_back", "time_limit", "cancelled", "policy", "denied", "budget"}
    | {"unknown_tool", "tools_full"}
)
WHYS = WHATS | {"no_workers", "too_slow", "breaker_open", "breaker_half_open", "paused", "not_before", "deferred"}
WHYS |= {"tried", "first", "next", "fastest"}
"""Also what routing says of a provider that a call leaves, or goes to, without an attempt."""


class Metrics:
    """One for each worker process, with a registry of its own.

    Series whose labels are few begin at 0: what appears with its first event has no increase that Prometheus sees.

    Args:
        providers: of this installation.
    """

    def __init__(self, providers: Sequence[Provider] = ()) -> None:
        self.registry = CollectorRegistry()
        self._providers = frozenset(provider.name for provider in providers)
        self._queues = frozenset(queue_names(providers))
        self._generations: dict[str, int] = {}

        def counter(name: str, help_text: str, *labels: str) -> Counter:
            return Counter(f"understudy_{name}", help_text, labels, registry=self.registry)

        def histogram(name: str, help_text: str, buckets: Sequence[float], *labels: str) -> Histogram:
            return Histogram(f"understudy_{name}", help_text, labels, registry=self.registry, buckets=buckets)

        self._calls = counter("calls", "Calls that ended.", "kind", "outcome", "provider")
        self._attempts = counter("attempts", "Attempts, by how they ended.", "kind", "provider", "what")
        self._fallbacks = counter("fallbacks", "Calls that moved to another provider.", "kind", "from", "to", "why")
        self._requests = counter("requests", "Requests sent to a provider for calls.", "provider")
        self._spend = counter("spend_microusd", "What requests cost.", "provider", "kind")
        self._recovered = counter("reconciler", "What reconcilers did to calls that were due.", "action")
        self._probes = counter("probes", "Probes of a provider that is out.", "provider", "ok")
        self._quarantined = counter("quarantined", "Calls given up after their workers died.", "kind")
        self._alerts = counter("alerts", "Alerts of the ledger that this worker said.", "name")
        self._changes = counter("breaker_changes", "Changes of a breaker's state that were seen.", "provider", "to")
        self._call_s = histogram("call_seconds", "From opening to end.", CALL_S, "kind", "provider")
        self._wait_s = histogram("queue_wait_seconds", "From dispatch to begin.", WAIT_S, "kind", "queue")
        self._first_s = histogram("first_token_seconds", "From request to first chunk.", FIRST_S, "kind", "provider")
        self._lag_s = histogram("loop_lag_seconds", "How late the worker's event loop was.", LAG_S)
        build = Gauge("understudy_build_info", "The version, as a label.", ["version"], registry=self.registry)
        build.labels(understudy.__version__).set(1)
        self._begin_at_zero()

    def began(self, kind: str, queue: str, wait_ms: int) -> None:
        """A worker began a call that had been dispatched to a queue."""
        self._wait_s.labels(_kind(kind), _one_of(queue, self._queues)).observe(max(0, wait_ms) / 1000)

    def first_token(self, kind: str, provider: str, ms: int) -> None:
        """A provider sent the first of its answer."""
        self._first_s.labels(_kind(kind), self._provider(provider)).observe(ms / 1000)

    def attempted(self, kind: str, attempt: Attempt) -> None:
        """An attempt is over."""
        provider = self._provider(attempt.provider)
        self._attempts.labels(_kind(kind), provider, _one_of(attempt.what, WHATS)).inc()
        self._requests.labels(provider).inc(attempt.requests)
        self._spend.labels(provider, _kind(kind)).inc(attempt.cost_microusd)

    def moved(self, kind: str, from_: str, to: str, why: str) -> None:
        """A call goes on at another provider."""
        labels = (_kind(kind), self._provider(from_), self._provider(to), _one_of(why, WHYS))
        self._fallbacks.labels(*labels).inc()

    def ended(self, outcome: AnyOutcome) -> None:
        """A call has its outcome."""
        if outcome.status is Status.DONE:
            end = "degraded" if outcome.degraded else "done"
        else:
            end = "cancelled" if outcome.status is Status.CANCELLED else "failed"
        kind, provider = _kind(outcome.kind), self._provider(outcome.provider or NOBODY)
        self._calls.labels(kind, end, provider).inc()
        self._call_s.labels(kind, provider).observe(outcome.total_ms / 1000)

    def ended_by_ledger(self, kind: str, reason: str) -> None:
        """The ledger itself failed or cancelled a call."""
        end = "cancelled" if reason == Reason.CANCELLED else "failed"
        self._calls.labels(_kind(kind), end, NOBODY).inc()
        if reason == Reason.QUARANTINED:
            self._quarantined.labels(_kind(kind)).inc()

    def recovered(self, action: str) -> None:
        """This worker's reconciler acted on a call that was due."""
        self._recovered.labels(_one_of(action, ACTIONS)).inc()

    def probed(self, provider: str, *, ok: bool) -> None:
        """This worker probed a provider."""
        self._probes.labels(self._provider(provider), str(ok).lower()).inc()

    def alerted(self, name: str) -> None:
        """This worker said an alert."""
        self._alerts.labels(_one_of(name, ALERTS)).inc()

    def saw(self, snapshot: Snapshot) -> None:
        """The shared health was read; each worker sees every change that lasts for two seconds."""
        for provider in self._providers:
            breaker = snapshot.breaker(provider)
            before = self._generations.get(provider)
            self._generations[provider] = breaker.generation
            if before is not None and breaker.generation > before:
                self._changes.labels(provider, breaker.state).inc()

    def lagged(self, late_s: float) -> None:
        """The event loop was this late."""
        self._lag_s.observe(late_s)

    def _provider(self, name: str) -> str:
        return name if name == NOBODY else _one_of(name, self._providers)

    def _begin_at_zero(self) -> None:
        for kind, provider in product(KINDS, self._providers):
            self._spend.labels(provider, kind)
            for end in ("done", "failed"):
                self._calls.labels(kind, end, provider)
        for kind, end in product(KINDS, ENDS[1:]):
            self._calls.labels(kind, end, NOBODY)
        for provider in self._providers:
            self._requests.labels(provider)
            for ok in ("true", "false"):
                self._probes.labels(provider, ok)
            for state in STATES:
                self._changes.labels(provider, state)
        for kind in KINDS:
            self._quarantined.labels(kind)
        for name in ALERTS:
            self._alerts.labels(name)
        for action in ACTIONS:
            self._recovered.labels(action)


def _kind(name: str) -> str:
    return _one_of(name, KINDS)


def _one_of(name: str, known: Iterable[str]) -> str:
    return name if name in known else OTHER
