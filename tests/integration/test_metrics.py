"""What a real worker serves for Prometheus, and what its health checks say."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from tests.support.deployed import METRICS_PORT_OF, metric_rows
from tests.support.polling import aeventually, eventually
from tests.support.ports import free_port
from tests.support.scrape import get, scrape
from tests.support.stack import GOOD, Stack
from tests.support.worker import Worker
from workers.stand_in import Fate

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from workers.local_redis import Flavour

PHRASE = "zebra-crossing-42"
USER = "user-4711"
pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, redis_flavour: Flavour) -> Iterator[Stack]:
    settings = {
        METRICS_PORT_OF: str(free_port()),
        "UNDERSTUDY_BUDGET_DAY_USD": "1",
        "UNDERSTUDY_BUDGET_MONTH_USD": "10",
        "UNDERSTUDY_LOG_LEVEL": "DEBUG",
    }
    with Stack(
        tmp_path_factory.mktemp("metrics"), redis_flavour, workers={"ollama,openai": 4}, settings=settings
    ) as stack:
        yield stack


@pytest.fixture
def url(stack: Stack) -> str:
    return f"http://127.0.0.1:{stack.environment[METRICS_PORT_OF]}"


async def test_it_counts_calls_attempts_fallbacks_and_money(stack: Stack, url: str) -> None:
    async with stack.client() as llm:
        await llm.moderate(PHRASE, user_id=USER)
        stack.ollama.set_fate(Fate(refuse=True))
        outcome = await llm.name_thread(PHRASE, user_id=USER)
        stack.ollama.set_fate(GOOD)
    assert outcome.provider == "openai"
    assert outcome.cost_microusd > 0
    seen = scrape(url)
    calls = "understudy_calls_total"
    assert seen.value(calls, kind="moderation", outcome="done", provider="ollama") == 1
    assert seen.value(calls, kind="thread_naming", outcome="done", provider="openai") == 1
    assert seen.value("understudy_attempts_total", kind="moderation", provider="ollama", what="answered") == 1
    assert seen.value("understudy_attempts_total", kind="thread_naming", provider="openai", what="answered") == 1
    assert seen.value("understudy_attempts_total", kind="thread_naming", provider="ollama", what="refused") == 1
    moved = {"kind": "thread_naming", "from": "ollama", "to": "openai", "why": "refused"}
    assert seen.value("understudy_fallbacks_total", **moved) == 1
    assert seen.value("understudy_requests_total", provider="openai") == 1
    assert seen.value("understudy_spend_microusd_total") == outcome.cost_microusd
    assert seen.value("understudy_spend_today_microusd") == outcome.cost_microusd
    used = outcome.cost_microusd / 1_000_000
    assert seen.value("understudy_budget_used_ratio", budget="day") == pytest.approx(used)
    assert seen.value("understudy_budget_used_ratio", budget="month") == pytest.approx(used / 10)
    assert seen.value("understudy_queue_wait_seconds_count", queue="ollama") == 2
    assert seen.value("understudy_first_token_seconds_count", kind="moderation", provider="ollama") == 1
    assert seen.value("understudy_call_seconds_count") == 2


async def test_it_shows_what_all_workers_share(stack: Stack, url: str) -> None:
    await stack.announced()
    seen = scrape(url)
    assert seen.value("understudy_queue_workers", queue="openai") == 1
    assert seen.value("understudy_queue_workers", queue="ollama.batch") == 0
    assert seen.value("understudy_queue_concurrency", queue="ollama") == 4
    assert seen.value("understudy_provider_primary", provider="ollama") == 1
    assert seen.value("understudy_provider_paid", provider="openai") == 1
    assert seen.value("understudy_redis_up") == 1
    async with stack.look() as look:
        for provider in look.health.providers:
            await look.health.clear(provider)
    await aeventually(lambda: scrape(url).value("understudy_breaker_open") == 0)
    stack.ollama.set_fate(Fate(refuse=True))
    async with stack.client() as llm:
        for n in range(3):
            await llm.moderate(f"{PHRASE} {n}")
    await aeventually(lambda: scrape(url).value("understudy_breaker_open", provider="ollama") == 1)
    await aeventually(lambda: scrape(url).value("understudy_breaker_changes_total", provider="ollama", to="open") == 1)
    await aeventually(lambda: (scrape(url).value("understudy_probes_total", provider="ollama", ok="false") or 0) > 0)
    stack.ollama.set_fate(GOOD)


async def test_what_the_page_lists_is_what_there_is_with_its_type_and_labels(stack: Stack, url: str) -> None:
    families = scrape(url).families()
    rows = metric_rows("What a worker counts and shows")
    named = {name.removesuffix("_total") if row.type == "counter" else name for name, row in rows.items()}
    if sys.platform != "linux":  # no /proc
        named = {name for name in named if not name.startswith("understudy_process_")}
    assert set(families) == named
    for name, row in rows.items():
        family = families.get(name.removesuffix("_total") if row.type == "counter" else name)
        if family is None:
            continue
        assert family.type == row.type, name
        for sample in family.samples:
            assert set(sample.labels) - {"le"} == set(row.labels), name


async def test_no_label_holds_what_a_user_wrote_an_id_or_a_user(stack: Stack, url: str) -> None:
    async with stack.client() as llm:
        call = await llm.submit("moderation", {"text": PHRASE}, user_id=USER)
        await call
    text = scrape(url).text
    assert PHRASE not in text
    assert USER not in text
    assert call.id not in text
    assert PHRASE not in stack.logs()


def test_it_is_alive_and_ready_and_says_so(stack: Stack, url: str) -> None:
    alive, ready = get(url, "/healthz"), eventually(lambda: get(url, "/readyz"))
    assert (alive.status, alive.json()) == (200, {"ok": True, "checks": {"loop": "ok", "parts": "ok"}, "reasons": []})
    assert ready.status == 200, ready.text
    assert set(ready.json()["checks"]) == {"loop", "parts", "redis", "broker", "consumer"}
    assert get(url, "/").status == 404


async def test_without_redis_it_is_alive_not_ready_and_still_scraped(stack: Stack, url: str) -> None:
    stack.redis.pause()
    try:
        await aeventually(lambda: scrape(url).value("understudy_redis_up") == 0)
        seen = scrape(url)
        ready, alive = get(url, "/readyz"), get(url, "/healthz")
    finally:
        stack.redis.resume()
    assert seen.value("understudy_calls_total", outcome="done") != 0
    assert seen.value("understudy_running_calls") == 0
    assert seen.value("understudy_queue_depth") is None
    assert seen.value("understudy_breaker_open") is None
    assert alive.status == 200, alive.text
    assert ready.status == 503
    assert [reason.split(":")[0] for reason in ready.json()["reasons"]][:2] == ["redis", "broker"]
    await aeventually(lambda: get(url, "/readyz").status == 200)
    assert scrape(url).value("understudy_redis_up") == 1


async def test_a_worker_whose_port_is_taken_does_not_start_and_says_why(stack: Stack, tmp_path: Path) -> None:
    second = Worker(tmp_path, "second", "ollama", 1, stack.environment)
    second.start()
    try:
        assert await second.ended() == 1
    finally:
        second.kill()
    port = stack.environment[METRICS_PORT_OF]
    sentence = f"UNDERSTUDY_METRICS_PORT is {port}: somebody listens on 127.0.0.1:{port} already"
    assert sentence in second.text()
    assert "Traceback" not in second.text()
