"""How the page of providers keeps itself up to date in a real browser, and what it does when it cannot."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from playwright.async_api import expect

from tests.support import flower_canned as canned
from tests.support.browser import visiting
from tests.support.polling import aeventually
from understudy.words import span

if TYPE_CHECKING:
    from playwright.async_api import Browser

    from tests.support.flower_site import FlowerSite

pytestmark = [pytest.mark.chromium, pytest.mark.asyncio(loop_scope="module")]


async def test_what_changes_is_seen_without_loading_the_page_again(browser: Browser, site: FlowerSite) -> None:
    site.told.document = canned.overview()
    async with visiting(browser, site.address) as visit:
        await expect(visit.find("#us-headline")).to_have_text("All providers take calls.")
        site.told.document["providers"][0] |= {"breaker": "half_open", "why": "server error"}
        await expect(visit.find("#us-headline")).to_contain_text("ollama is half-open")
        site.told.document["providers"][0] |= {"breaker": "closed", "why": ""}
        await expect(visit.find("#us-headline")).to_have_text("All providers take calls.")


async def test_the_next_try_is_counted_down_between_two_answers(browser: Browser, site: FlowerSite) -> None:
    async with visiting(browser, site.address) as visit:
        held = [asyncio.Event() for _ in range(100)]
        site.told.holds = list(held)
        countdown = visit.card("ollama").locator(".us-countdown")
        before = await countdown.inner_text()
        await visit.page.clock.fast_forward(10_000)
        await expect(countdown).not_to_have_text(before)
        site.told.holds.clear()
        for each in held:
            each.set()


async def test_a_late_answer_does_not_cover_a_newer_one(browser: Browser, site: FlowerSite) -> None:
    site.told.document = canned.overview(canned.provider("ollama", model="the old one"))
    async with visiting(browser, site.address) as visit:
        model = visit.card("ollama").locator(".us-card-model")
        late = asyncio.Event()
        site.told.holds = [late]
        await aeventually(lambda: not site.told.holds)  # the page waits for it, but not for ever
        await visit.page.clock.fast_forward(5_000)
        site.told.document["providers"][0]["model"] = "the new one"
        await expect(model).to_have_text("the new one")
        seen = await visit.page.evaluate_handle(
            "() => { const seen = []; const node = document.querySelector('.us-card-model');"
            " new MutationObserver(() => seen.push(node.textContent)).observe(node, {childList: true, subtree: true});"
            " return seen; }"
        )
        asked = site.told.asked
        late.set()
        await aeventually(lambda: site.told.asked > asked + 1)
        assert await seen.json_value() == []


async def test_without_redis_the_page_keeps_what_it_had_greys_it_and_says_so(
    browser: Browser, site: FlowerSite
) -> None:
    async with visiting(browser, site.address) as visit:
        site.told.away = "Redis cannot be reached."
        await expect(visit.page.get_by_role("alert").filter(has_text="Redis cannot")).to_contain_text("This is of")
        await expect(visit.find("#us-page")).to_have_attribute("data-state", "stale")
        await expect(visit.card("ollama")).to_contain_text("connection refused")
        assert await visit.find(".us-content").evaluate("e => getComputedStyle(e).filter") == "grayscale(1)"
        await expect(visit.page.get_by_role("button", name="Force ollama")).to_have_attribute("aria-disabled", "true")
        await visit.picture("canned-redis-away", whole=False)
        site.told.away = ""
        await visit.live()
        await expect(visit.find("#us-stale")).to_be_hidden()
        await expect(visit.page.get_by_role("button", name="Force ollama")).not_to_have_attribute(
            "aria-disabled", "true"
        )


async def test_a_page_that_never_got_an_answer_says_so(browser: Browser, site: FlowerSite) -> None:
    async with visiting(browser, site.address) as visit:
        site.told.away = "Redis refused the user or password."
        await visit.page.reload()
        await expect(visit.find("#us-stale")).to_have_text(
            "Redis refused the user or password. Nothing has been read yet."
        )


async def test_focus_what_is_open_and_what_was_typed_stay_over_updates(browser: Browser, site: FlowerSite) -> None:
    async with visiting(browser, site.address) as visit:
        second = visit.find(".us-cause").filter(has_text="its time ran out")
        await second.locator("summary").click()
        await expect(second.locator(".us-ended")).to_have_count(12)
        await visit.page.get_by_label("Call id").fill("half an i")
        await second.get_by_role("button", name="Run all 480 again").focus()
        asked = site.told.asked
        # Others come before it, one more of its own is there, and cards change places.
        site.told.document["causes"].reverse()
        site.told.document["causes"][-1] |= {"calls": 481}
        site.told.causes["deadline"] = canned.cause(shown=13, total=481)
        site.told.document["providers"].reverse()
        await expect(second.locator(".us-ended")).to_have_count(13)
        await aeventually(lambda: site.told.asked > asked + 2)
        await expect(visit.find(".us-card h2").first).to_have_text("spare")
        assert await visit.has_focus() == "Run all 481 again…"
        assert await second.get_attribute("open") is not None
        await expect(visit.page.get_by_label("Call id")).to_have_value("half an i")


async def test_a_call_that_is_open_is_read_again_until_it_has_ended(browser: Browser, site: FlowerSite) -> None:
    waiting: dict[str, Any] = {"state": "queued", "ended_ms": None, "reason": "", "reason_words": "", "bars": []}
    site.told.calls[canned.CALL] = canned.call(**waiting, waits=["It waits behind 3 calls."])
    async with visiting(browser, site.address, path=f"/providers#call={canned.CALL}") as visit:
        shown = visit.find(".us-call")
        await expect(shown).to_contain_text("It waits behind 3 calls.")
        await expect(shown.get_by_role("button", name="Cancel this call")).to_be_visible()
        await expect(shown.get_by_role("button", name="Run this call again")).to_be_hidden()
        site.told.calls[canned.CALL] = canned.call()
        await expect(shown).to_contain_text("It failed: its time ran out.")
        await expect(shown.get_by_role("button", name="Cancel this call")).to_be_hidden()
        await expect(shown.get_by_role("button", name="Run this call again")).to_be_visible()


async def test_a_page_that_nobody_sees_asks_for_nothing(browser: Browser, site: FlowerSite) -> None:
    async with visiting(browser, site.address) as visit:
        hide = "is => { Object.defineProperty(document, 'hidden', {value: is, configurable: true});"
        hide += " document.dispatchEvent(new Event('visibilitychange')); }"
        await visit.page.evaluate(hide, True)
        asked = site.told.asked
        for _ in range(10):
            await visit.page.clock.fast_forward(10_000)
        unseen = site.told.asked
        await visit.page.evaluate(hide, False)
        await aeventually(lambda: site.told.asked > unseen)
        assert site.told.asked <= asked + 3  # one may have been under way


async def test_nothing_moves_by_itself_for_who_asks_for_less_motion(browser: Browser, site: FlowerSite) -> None:
    async with visiting(browser, site.address, reduced_motion="reduce") as visit:
        moves = "e => parseFloat(getComputedStyle(e).transitionDuration) > 0"
        assert not await visit.page.evaluate(f"[...document.querySelectorAll('#us-page *')].some({moves})")


async def test_spans_of_time_are_said_as_in_the_terminal(browser: Browser, site: FlowerSite) -> None:
    spans = (
        0,
        1,
        420,
        999,
        1_000,
        4_240,
        9_949,
        9_951,
        59_400,
        60_000,
        125_000,
        3_599_000,
        3_780_000,
        86_400_000,
        10**9,
    )
    async with visiting(browser, site.address) as visit:
        script = "spans => import('/providers/static/words.js').then(words => spans.map(words.span))"
        assert await visit.page.evaluate(script, list(spans)) == [span(ms) for ms in spans]
