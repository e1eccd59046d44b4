"""The page of providers in a real browser, in each state: what a person reads, on desktop and phone, light and dark."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from playwright.async_api import expect

from tests.support import flower_canned as canned
from tests.support.browser import PHONE, visiting

if TYPE_CHECKING:
    from playwright.async_api import Browser

    from tests.support.flower_site import FlowerSite

pytestmark = [pytest.mark.chromium, pytest.mark.asyncio(loop_scope="module")]
LINKED = f"/providers#call={canned.CALL}"


async def test_a_card_says_that_its_provider_is_open_why_and_until_when(browser: Browser, site: FlowerSite) -> None:
    async with visiting(browser, site.address) as visit:
        await expect(visit.find("#us-headline li").first).to_have_text("ollama is open: connection refused.")
        card = visit.card("ollama")
        await expect(card).to_contain_text("Opentakes no calls")
        await expect(card).to_contain_text("Why: connection refused")
        await expect(card.locator(".us-breaker-next")).to_have_text(
            re.compile(r"^Next try in \d+ s at \d\d:\d\d:\d\d$")
        )
        await expect(card.locator(".us-breaker-since")).to_have_text(
            re.compile(r"^since \d\d:\d\d:\d\d \(1 min \d+ s\)$")
        )


async def test_a_card_shows_what_its_provider_did_in_the_last_minutes(browser: Browser, site: FlowerSite) -> None:
    async with visiting(browser, site.address) as visit:
        card = visit.card("ollama")
        figures = await card.locator(".us-figures").inner_text()
        for said in ("87 %", "97 %", "446", "14", "421 ms", "p95 1.7 s", "96 ms", "p95 402 ms"):
            assert said in figures
        calls = card.get_by_role(
            "img", name=re.compile("^Calls in each of the last 15 minutes: 446 answered, 14 failed")
        )
        await expect(calls.locator(".us-bar-good")).to_have_count(15)
        assert re.search(r": 21 answered, 0 failed$", await calls.locator("title").first.text_content() or "")
        await expect(card.get_by_role("img", name=re.compile("^Median answer time .* last "))).to_be_visible()
        await expect(card.locator(".us-queue").first).to_contain_text(
            "Waiting37Oldest2.4 sWorkers116 at onceDrains in980 ms"
        )


async def test_who_forces_and_which_is_preferred_is_said(browser: Browser, site: FlowerSite) -> None:
    async with visiting(browser, site.address) as visit:
        card = visit.card("openai")
        assert await card.locator(".us-tags li").all_inner_texts() == ["Forced", "Preferred", "Paid"]
        await expect(card).to_contain_text("Forced by ann for 21 min 30 s: the graphics card is being replaced")
        await expect(visit.card("spare")).to_contain_text("Paused for 9 min: upgrade of its driver")


async def test_budgets_fallbacks_jobs_and_the_audit_log_are_there(browser: Browser, site: FlowerSite) -> None:
    async with visiting(browser, site.address) as visit:
        nearly = visit.page.get_by_role("meter", name="Budget day")
        await expect(nearly).to_have_attribute("aria-valuetext", "$4.21 of $5.00 (84 %, nearly used up)")
        await expect(visit.find("#us-money")).to_contain_text("$2.05 of $2.00 (102.5 %, used up)")
        await expect(visit.find("#us-fallbacks li")).to_have_count(24)
        await expect(visit.find("#us-fallbacks li").first).to_contain_text("ollama to openai")
        await expect(visit.find("#us-jobs li").first).to_contain_text("41,250 of 120,000 rows (34 %)")
        await expect(visit.find("#us-audit")).to_contain_text("retry cause deadline (12 calls)")


async def test_a_cause_that_is_opened_lists_its_calls_and_they_lead_to_their_waterfall(
    browser: Browser, site: FlowerSite
) -> None:
    async with visiting(browser, site.address) as visit:
        cause = visit.find(".us-cause").filter(has_text="its time ran out")
        await cause.locator("summary").click()
        await expect(cause.locator(".us-ended")).to_have_count(12)
        await expect(cause).to_contain_text("The latest 12 of 480.")
        first = canned.cause()["calls"][0]["id"]
        site.told.calls[first] = canned.call(first)
        await cause.get_by_role("link", name=first).click()
        await expect(visit.find(".us-call")).to_contain_text("It failed: its time ran out.")
        assert await visit.find(".us-bar-label").all_inner_texts() == [bar["label"] for bar in canned.call()["bars"]]
        assert await visit.has_focus() == "Why does this call wait?"


async def test_a_call_that_nobody_knows_is_said_to_be_unknown(browser: Browser, site: FlowerSite) -> None:
    async with visiting(browser, site.address, path=LINKED) as visit:
        await expect(visit.find(".us-call")).to_be_visible()
        await visit.page.get_by_label("Call id").fill("nobody's")
        await visit.page.get_by_role("button", name="Look up").click()
        await expect(visit.find("#us-call-note")).to_contain_text("No call has this id")
        await expect(visit.find(".us-call")).to_have_count(0)


async def test_before_the_first_call_nothing_is_claimed(browser: Browser, site: FlowerSite) -> None:
    site.told.document = canned.overview()
    async with visiting(browser, site.address) as visit:
        await expect(visit.find("#us-headline")).to_have_text("All providers take calls.")
        await expect(visit.card("ollama").locator(".us-figures")).to_contain_text("Share of calls–no calls yet")
        for nothing in (
            "No call has failed in the last day.",
            "No jobs.",
            "No budget is set.",
            "Nobody has done anything",
        ):
            await expect(visit.find(".us-content")).to_contain_text(nothing)
        await visit.picture("canned-no-calls")


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
async def test_the_page_is_never_wider_than_its_window(browser: Browser, site: FlowerSite, dark: bool) -> None:
    async with visiting(browser, site.address, path=LINKED, dark=dark) as visit:
        await visit.find(".us-cause summary").first.click()
        await expect(visit.find(".us-ended")).to_have_count(12)
        for width in (360, 800, 1280, 1920):
            await visit.page.set_viewport_size({"width": width, "height": 800})
            assert await visit.hidden_to_the_right() == 0, width
            await visit.picture(f"canned-busy-{width}-{'dark' if dark else 'light'}")


async def test_names_without_end_break_and_push_nothing_out(browser: Browser, site: FlowerSite) -> None:
    long = {"model": canned.LONG, "breaker": "open", "why": canned.LONG, "next_try_ms": canned.now_ms() + 9_000}
    forced = {"who": canned.LONG, "why": canned.LONG * 2, "left_ms": 60_000}
    site.told.document = canned.overview(canned.busy_provider(canned.LONG, forced=forced, **long))
    site.told.document["causes"] = [{"reason": "x", "words": canned.LONG, "calls": 10**6, "latest_ms": 0}]
    async with visiting(browser, site.address, size=PHONE) as visit:
        assert await visit.hidden_to_the_right() == 0
        await visit.picture("canned-long-names")


async def test_dark_is_dark_all_over_and_light_is_light(browser: Browser, site: FlowerSite) -> None:
    shade = "s => getComputedStyle(document.querySelector(s)).backgroundColor.match(/\\d+/g).slice(0, 3).map(Number)"
    for dark in (False, True):
        async with visiting(browser, site.address, dark=dark) as visit:
            for part in ("body", ".us-card", ".us-panel", ".us-dialog"):
                colour = await visit.page.evaluate(shade, part)
                assert (max(colour) < 60) is dark, (part, colour)


async def test_what_a_name_holds_is_shown_and_never_run(browser: Browser, site: FlowerSite) -> None:
    nasty = "<img src=x onerror=document.title='run'>"
    site.told.document = canned.overview(canned.busy_provider(nasty, model=nasty, why=nasty, breaker="open"))
    site.told.document["audit"] = [{"at_ms": canned.now_ms(), "who": nasty, "what": nasty, "why": nasty}]
    async with visiting(browser, site.address) as visit:
        await expect(visit.find("#us-audit li strong")).to_have_text(nasty)
        await expect(visit.find("#us-page img")).to_have_count(0)
        assert await visit.page.title() == "Providers · Flower"
