"""What a worker counts, what its checks say, and where it listens."""

from __future__ import annotations

import asyncio
import socket
import threading
from typing import TYPE_CHECKING, Any, cast

import pytest
from prometheus_client import generate_latest

from tests.support.health import OLLAMA, OPENAI
from tests.support.polling import eventually
from tests.support.scrape import Scrape, get, scrape
from understudy.contracts.call import AnyOutcome, Attempt, Reason, Status
from understudy.errors import SettingsError
from understudy.settings import load_settings
from understudy.state.health import CLOSED, HALF_OPEN, OPEN, Breaker, Snapshot
from workers import gauges
from workers.checks import Checks
from workers.gauges import Gauges
from workers.loop_lag import LoopLag
from workers.metrics import WHATS, Metrics
from workers.metrics_server import MetricsServer, metrics_server

if TYPE_CHECKING:
    from workers.context import Context
    from workers.loop import LoopThread

PROVIDERS = (OLLAMA, OPENAI)
WRITTEN = "what somebody wrote"


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(PROVIDERS)


async def forever() -> None:
    await asyncio.Event().wait()


async def task_of(work: Any) -> asyncio.Task[None]:
    return asyncio.create_task(work)


def seen(metrics: Metrics) -> Scrape:
    return Scrape(generate_latest(metrics.registry).decode())


def snapshot(state: str, generation: int) -> Snapshot:
    return Snapshot(breakers={"ollama": Breaker(state=state, generation=generation)})


def checks(loop: LoopThread, *, broker: Any = lambda: "", ping: Any = None, consuming: bool = True) -> Checks:
    async def pong() -> bool:
        return True

    part = loop.submit(task_of(forever())).result(5)
    return Checks(loop, {"part": part}, ping=ping or pong, broker=broker, consuming=lambda: consuming)


def test_what_is_no_name_of_the_installation_is_counted_as_other(metrics: Metrics) -> None:
    metrics.attempted(WRITTEN, Attempt(provider=WRITTEN, model=WRITTEN, what=WRITTEN, detail=WRITTEN, ms=1))
    metrics.moved(WRITTEN, WRITTEN, WRITTEN, WRITTEN)
    metrics.began(WRITTEN, WRITTEN, 1)
    metrics.first_token(WRITTEN, WRITTEN, 1)
    metrics.ended(AnyOutcome(call_id=WRITTEN, kind=WRITTEN, status=Status.FAILED, provider=WRITTEN, detail=WRITTEN))
    metrics.ended_by_ledger(WRITTEN, WRITTEN)
    metrics.recovered(WRITTEN)
    metrics.probed(WRITTEN, ok=True)
    metrics.alerted(WRITTEN)
    page = seen(metrics)
    assert WRITTEN not in page.text
    assert page.value("understudy_attempts_total", kind="other", provider="other", what="other") == 1
    assert page.value("understudy_fallbacks_total", **{"from": "other", "to": "other", "why": "other"}) == 1


@pytest.mark.parametrize(
    ("status", "degraded", "end"),
    [
        (Status.DONE, False, "done"),
        (Status.DONE, True, "degraded"),
        (Status.FAILED, False, "failed"),
        (Status.CANCELLED, False, "cancelled"),
    ],
)
def test_a_call_counts_by_how_it_ended(metrics: Metrics, status: Status, degraded: bool, end: str) -> None:
    outcome = AnyOutcome(call_id="1", kind="moderation", status=status, degraded=degraded, result={}, total_ms=1500)
    metrics.ended(outcome)
    page = seen(metrics)
    assert page.value("understudy_calls_total", kind="moderation", outcome=end) == 1
    assert page.value("understudy_calls_total") == 1
    assert page.value("understudy_call_seconds_sum", kind="moderation") == 1.5


def test_a_call_that_the_ledger_quarantined_has_failed(metrics: Metrics) -> None:
    metrics.ended_by_ledger("agent_turn", Reason.QUARANTINED)
    metrics.ended_by_ledger("agent_turn", Reason.DEADLINE)
    page = seen(metrics)
    assert page.value("understudy_quarantined_total", kind="agent_turn") == 1
    assert page.value("understudy_calls_total", kind="agent_turn", outcome="failed") == 2


def test_an_attempt_counts_its_requests_and_its_cost(metrics: Metrics) -> None:
    metrics.attempted(
        "moderation", Attempt(provider="openai", model="m", what="answered", ms=1, requests=2, cost_microusd=7)
    )
    page = seen(metrics)
    assert page.value("understudy_requests_total", provider="openai") == 2
    assert page.value("understudy_spend_microusd_total", provider="openai", kind="moderation") == 7


def test_each_change_of_a_breaker_counts_once_and_the_first_look_is_none(metrics: Metrics) -> None:
    for state, generation in [(OPEN, 5), (OPEN, 5), (HALF_OPEN, 6), (CLOSED, 7), (CLOSED, 7), (OPEN, 8)]:
        metrics.saw(snapshot(state, generation))
    page = seen(metrics)
    changes = {to: page.value("understudy_breaker_changes_total", provider="ollama", to=to) for to in (CLOSED, OPEN)}
    assert changes == {CLOSED: 1, OPEN: 1}


def test_series_that_alerts_look_at_are_there_before_anything_happened(metrics: Metrics) -> None:
    page = seen(metrics)
    assert page.value("understudy_calls_total", kind="moderation", outcome="failed", provider="") == 0
    assert page.value("understudy_quarantined_total", kind="moderation") == 0
    assert page.value("understudy_breaker_changes_total", provider="openai", to="closed") == 0


def test_the_words_for_attempts_are_those_that_attempts_end_with() -> None:
    assert {"answered", "worker_lost", "waited", "handed_back", "refused", "wrong_schema", "budget"} <= WHATS


def test_the_lag_of_a_loop_that_is_blocked_is_seen(metrics: Metrics, loop: LoopThread) -> None:
    part = loop.submit(task_of(LoopLag(metrics).run())).result(5)
    freed = threading.Event()
    loop.call_soon(freed.wait, 1.5)
    eventually(lambda: (seen(metrics).value("understudy_loop_lag_seconds_sum") or 0) > 0.5)
    loop.call_soon(part.cancel)


def test_gauges_of_a_loop_that_hangs_are_left_out(
    metrics: Metrics, loop: LoopThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gauges, "READ_S", 0.1)
    metrics.registry.register(Gauges(cast("Context", type("Bare", (), {"leases": ()})), loop))
    freed = threading.Event()
    loop.call_soon(freed.wait, 20)
    page = seen(metrics)
    freed.set()
    assert page.value("understudy_redis_up") == 0
    assert page.value("understudy_queue_depth") is None
    assert page.value("understudy_quarantined_total") == 0


def test_a_worker_with_a_part_that_ended_is_not_alive(loop: LoopThread) -> None:
    async def ends() -> None:
        return

    ended = loop.submit(task_of(ends())).result(5)
    eventually(ended.done)
    found = Checks(loop, {"reconciler": ended}, ping=forever, broker=lambda: "", consuming=lambda: True).alive()
    assert not found.ok
    assert found.body()["reasons"] == ["parts: reconciler ended"]


def test_a_worker_whose_loop_hangs_is_not_alive(loop: LoopThread, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workers.checks.MAX_LAG_S", 0.2)
    asked = checks(loop)
    assert asked.alive().ok
    freed = threading.Event()
    loop.call_soon(freed.wait, 20)
    eventually(lambda: not asked.alive().ok)
    freed.set()
    assert eventually(lambda: asked.alive().ok)


@pytest.mark.parametrize("consuming", [True, False])
def test_a_worker_that_takes_no_messages_is_alive_and_not_ready(loop: LoopThread, consuming: bool) -> None:
    asked = checks(loop, consuming=consuming)
    assert asked.alive().ok
    assert asked.ready().ok is consuming


def test_a_broker_that_hangs_is_asked_by_one_thread_alone(loop: LoopThread, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workers.checks.ANSWER_S", 0.1)
    freed, entered = threading.Event(), list[int]()

    def hangs() -> str:
        entered.append(1)
        freed.wait(20)
        return ""

    asked = checks(loop, broker=hangs)
    found = [asked.ready() for _ in range(3)]
    assert [verdict.found["broker"] for verdict in found] == ["does not answer (TimeoutError)"] * 3
    assert entered == [1]
    freed.set()
    assert eventually(lambda: asked.ready().ok)


def test_a_redis_that_fails_is_named(loop: LoopThread) -> None:
    async def fails() -> bool:
        raise ConnectionRefusedError

    assert checks(loop, ping=fails).ready().found["redis"] == "does not answer (ConnectionRefusedError)"


def test_it_serves_the_three_pages_and_nothing_else(metrics: Metrics, loop: LoopThread) -> None:
    server = MetricsServer("127.0.0.1", 0)
    server.serve(metrics.registry, checks(loop, broker=lambda: "OSError"))
    try:
        assert scrape(server.url).value("understudy_build_info") == 1
        assert "_created" not in get(server.url, "/metrics").text
        assert get(server.url, "/healthz").status == 200
        ready = get(server.url, "/readyz?verbose=1")
        assert (ready.status, ready.json()["reasons"]) == (503, ["broker: does not answer (OSError)"])
        assert get(server.url, "/etc/passwd").status == 404
    finally:
        server.stop()


def test_a_port_that_is_taken_is_refused_in_a_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(SettingsError, match=f"UNDERSTUDY_METRICS_PORT is {port}: somebody listens on 127.0.0.1"):
            metrics_server(load_settings(env_file=None, understudy_metrics_port=port))


def test_a_host_that_is_none_of_this_machine_is_refused_in_a_sentence() -> None:
    with pytest.raises(SettingsError, match=r"UNDERSTUDY_METRICS_HOST is '203\.0\.113\.7': it must be an address of"):
        MetricsServer("203.0.113.7", 0)


def test_no_port_means_no_server() -> None:
    assert metrics_server(load_settings(env_file=None)) is None
