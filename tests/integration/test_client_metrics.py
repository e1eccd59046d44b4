"""What a client counts for a bot that serves Prometheus itself."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from bot_client import AllProvidersFailed, CallCancelled, Understudy
from bot_client.metrics import ClientMetrics
from tests.support.clients import settings_for
from tests.support.deployed import metric_rows
from tests.support.scrape import Scrape
from tests.support.scripted_worker import ScriptedWorker
from tests.support.snippets import snippets

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

PHRASE = "zebra-crossing-42"


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
async def worker(redis_url: str) -> AsyncIterator[ScriptedWorker]:
    async with ScriptedWorker(redis_url) as worker:
        yield worker


@pytest.fixture
async def llm(redis_url: str, registry: CollectorRegistry, worker: ScriptedWorker) -> AsyncIterator[Understudy]:
    async with Understudy(settings_for(redis_url), metrics=ClientMetrics(registry)) as llm:
        yield llm


def seen(registry: CollectorRegistry) -> Scrape:
    return Scrape(generate_latest(registry).decode())


async def test_calls_count_by_how_they_ended_here(
    llm: Understudy, worker: ScriptedWorker, registry: CollectorRegistry
) -> None:
    await llm.moderate(PHRASE)
    worker.fail("thread_naming")
    with pytest.raises(AllProvidersFailed):
        await llm.name_thread(PHRASE)
    page = seen(registry)
    assert page.value("understudy_client_calls_total", kind="moderation", status="done") == 1
    assert page.value("understudy_client_calls_total", kind="thread_naming", status="failed") == 1
    assert page.value("understudy_client_call_seconds_count") == 2
    assert page.value("understudy_client_open_calls") == 0
    assert (page.value("understudy_client_inbox_lag_entries") or 0) > 0
    assert PHRASE not in page.text


async def test_a_call_that_is_given_up_is_open_until_then(
    llm: Understudy, worker: ScriptedWorker, registry: CollectorRegistry
) -> None:
    worker.hold("moderation")
    call = await llm.submit("moderation", {"text": PHRASE})
    assert seen(registry).value("understudy_client_open_calls") == 1
    await call.cancel()
    with pytest.raises(CallCancelled):
        await call
    page = seen(registry)
    assert page.value("understudy_client_open_calls") == 0
    assert page.value("understudy_client_calls_total", kind="moderation", status="cancelled") == 1


async def test_what_the_page_lists_is_what_there_is(llm: Understudy, registry: CollectorRegistry) -> None:
    await llm.moderate(PHRASE)
    families = seen(registry).families()
    rows = metric_rows("What a bot can count and show")
    kinds = {name.removesuffix("_total") if row.type == "counter" else name: row for name, row in rows.items()}
    families = {name: family for name, family in families.items() if not name.endswith("_created")}
    assert set(families) == set(kinds)
    for name, family in families.items():
        assert family.type == kinds[name].type
        for sample in family.samples:
            assert set(sample.labels) - {"le"} == set(kinds[name].labels), name


async def test_the_example_of_the_page_can_be_imported_and_run(redis_url: str) -> None:
    (block,) = [found for found in snippets("docs/metrics.md") if found.language == "python"]
    script = block.text + "\nprint(type(llm).__name__)\n"
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    said, _ = await child.communicate()
    assert said.decode().strip() == "Understudy"


def test_without_the_package_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    with pytest.raises(ImportError, match="install it beside understudy"):
        ClientMetrics()
