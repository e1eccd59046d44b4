"""A day at work on the page of providers: Flower, Redis, workers and stand-ins, as operators run them, in a browser."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from playwright.async_api import expect

from bot_client import CallError
from tests.support.browser import PHONE, chromium, visiting
from tests.support.flower_process import FlowerProcess
from tests.support.polling import aeventually
from workers.stand_in import Fate

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.browser import Visit
    from tests.support.stack import Stack

pytestmark = [pytest.mark.chromium, pytest.mark.timeout(300)]
CALLS = 6
"""Enough for a breaker to open."""

PLANTED = "a phrase that nobody but its writer may read"


@pytest.fixture(scope="module")
def flower(redis_stack: Stack) -> Iterator[FlowerProcess]:
    """Without a login, so that who sits at this machine is `local`, and may act."""
    environment = {**redis_stack.environment, "UNDERSTUDY_OPERATORS": "local"}
    with FlowerProcess(redis_stack.directory, environment) as running:
        yield running


@pytest.fixture
def address(flower: FlowerProcess) -> str:
    """Where the browser goes."""
    return f"http://127.0.0.1:{flower.port}"


async def _act(visit: Visit, button: str, why: str) -> None:
    await visit.page.get_by_role("button", name=button, exact=True).click()
    await visit.confirm(why)


async def test_a_provider_that_stops_is_seen_open_with_why_and_until_when_and_is_forced_and_cleared(
    stack: Stack, address: str
) -> None:
    async with chromium() as browser, visiting(browser, address) as visit, stack.client() as llm:
        await llm.moderate(PLANTED)
        ollama, openai = visit.card("ollama"), visit.card("openai")
        await expect(visit.find("#us-headline")).to_have_text("All providers take calls.")
        await expect(ollama.locator(".us-figures")).to_contain_text("100 %")
        await visit.picture("1-all-well")

        stack.ollama.kill()
        outcome, *rest = [await llm.moderate(PLANTED) for _ in range(CALLS)]
        assert {each.provider for each in (outcome, *rest)} == {"openai"}
        await expect(ollama.locator(".us-breaker")).to_contain_text("Open", timeout=5_000)
        await expect(ollama.locator(".us-breaker-why")).to_have_text("Why: connection refused")
        await expect(ollama.locator(".us-breaker-next")).to_have_text(
            re.compile(r"^Next try (in \d+ s|now) at [\d:]+$")
        )
        await expect(visit.find("#us-headline")).to_contain_text("ollama is open: connection refused.")
        await expect(visit.find("#us-fallbacks")).to_contain_text("ollama to openai")
        await expect(visit.find("#us-fallbacks")).to_contain_text(outcome.call_id)
        await visit.picture("2-primary-stopped")

        await visit.find("#us-fallbacks").get_by_role("link", name=outcome.call_id).click()
        await expect(visit.find(".us-call")).to_contain_text("It was answered by openai.")
        await expect(visit.find(".us-waterfall")).to_contain_text("connection refused")
        await visit.picture("3-its-call")

        await _act(visit, "Force openai", "the primary is being repaired")
        await expect(openai).to_contain_text("Forced by local for")
        await visit.picture("4-forced")
        await _act(visit, "Unforce openai", "repaired")
        await expect(openai.locator(".us-forced")).to_be_hidden()

        stack.ollama.start()
        await _act(visit, "Clear the health of ollama", "repaired")
        await expect(ollama.locator(".us-breaker")).to_contain_text("Closed")
        assert (await llm.moderate(PLANTED)).provider == "ollama"
        await visit.picture("5-cleared")
        for done in ("force openai 30m", "unforce", "clear ollama"):
            await expect(visit.find("#us-audit")).to_contain_text(re.compile(rf"local\s*{done}"))
        assert PLANTED not in await visit.page.content()


async def test_a_queue_is_paused_and_a_call_that_waits_for_it_is_looked_up_and_cancelled(
    stack: Stack, address: str
) -> None:
    async with chromium() as browser, visiting(browser, address) as visit, stack.client() as llm:
        await _act(visit, "Pause the queue ollama", "a new driver")
        queue = visit.find(".us-queue").filter(has=visit.page.get_by_role("heading", name="ollama", exact=True))
        await expect(queue).to_contain_text("Paused for")
        await expect(queue).to_contain_text("a new driver")
        call = await llm.submit("moderation", {"text": PLANTED}, only="ollama", deadline_s=3_600)
        await visit.page.get_by_label("Call id").fill(call.id)
        await visit.page.get_by_role("button", name="Look up").click()
        await expect(visit.find(".us-call")).to_contain_text("its queue is paused")
        await visit.picture("6-paused-and-waiting")
        await _act(visit, "Cancel this call", "not needed any more")
        await expect(visit.find(".us-call-head")).to_contain_text("cancelled")
        await _act(visit, "Resume the queue ollama", "done")
        await expect(queue.locator(".us-tag")).to_be_hidden()
        assert (await llm.moderate(PLANTED, only="ollama")).provider == "ollama"
        await expect(visit.find("#us-audit")).to_contain_text("pause ollama 30m")


async def test_all_calls_of_a_cause_are_run_again_after_its_price_was_shown(stack: Stack, address: str) -> None:
    async with chromium() as browser, visiting(browser, address, size=PHONE, dark=True) as visit, stack.client() as llm:
        for provider in stack.providers.values():
            provider.set_fate(Fate(status=400))
        failed = []
        for _ in range(2):
            with pytest.raises(CallError) as error:
                await llm.moderate(PLANTED)
            failed.append(error.value.call_id)
        cause = visit.find(".us-cause").filter(has_text="the provider rejected the request")
        await cause.locator("summary").click()
        for call_id in failed:
            await expect(cause.get_by_role("link", name=str(call_id))).to_be_visible()
        assert await visit.hidden_to_the_right() == 0
        await visit.picture("7-cause-on-a-phone")
        for provider in stack.providers.values():
            provider.set_fate(Fate())
        await cause.get_by_role("button", name=re.compile(r"^Run all \d+ again")).click()
        await expect(visit.dialog).to_contain_text(re.compile(r"At most this costs \$\d"))
        await visit.picture("8-before-it-is-run-again", whole=False)
        await visit.confirm("the providers are back")
        await expect(visit.find("#us-notice")).to_contain_text("run again.")
        async with stack.look() as look:

            async def all_done() -> bool:
                return all([(await look.record(str(call_id))).state == "D" for call_id in failed])

            await aeventually(all_done)
        await expect(cause).to_have_count(0)
        await expect(visit.find("#us-audit")).to_contain_text("retry cause")


async def test_without_redis_the_page_says_so_and_comes_back_by_itself(stack: Stack, address: str) -> None:
    async with chromium() as browser, visiting(browser, address) as visit:
        stack.redis.pause()
        try:
            await expect(visit.find("#us-stale")).to_contain_text("Redis did not answer in time.")
            await visit.picture("9-redis-away", whole=False)
        finally:
            stack.redis.resume()
        await visit.live()
