"""What an operator does on the page of providers in a real browser: asked first, with a reason, and only who may."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import pytest
from playwright.async_api import expect

from tests.support import flower_canned as canned
from tests.support.browser import PHONE, visiting
from tests.support.flower_site import FlowerSite

if TYPE_CHECKING:
    from playwright.async_api import Browser

pytestmark = [pytest.mark.chromium, pytest.mark.asyncio(loop_scope="module")]
LINKED = f"/providers#call={canned.CALL}"
ACTIONS: dict[str, dict[str, Any]] = {
    "Force ollama": {"name": "force", "provider": "ollama", "for_s": 3600},
    "Unforce openai": {"name": "unforce"},
    "Clear the health of ollama": {"name": "clear", "provider": "ollama"},
    "Pause the queue ollama.batch": {"name": "pause", "queue": "ollama.batch", "for_s": 3600},
    "Resume the queue spare": {"name": "resume", "queue": "spare"},
    "Run this call again": {"name": "retry", "call": canned.CALL},
}
"""By the name of its button."""


def taken(site: FlowerSite) -> list[dict[str, Any]]:
    """What was asked for, without what it did not name."""
    return [{name: value for name, value in asdict(action).items() if value is not None} for action in site.told.taken]


async def test_each_action_is_confirmed_with_a_reason_and_then_taken(browser: Browser, site: FlowerSite) -> None:
    async with visiting(browser, site.address, path=LINKED) as visit:
        for button, asked in ACTIONS.items():
            await visit.page.get_by_role("button", name=button, exact=True).click()
            await expect(visit.dialog).to_be_visible()
            assert taken(site) == []
            if "for_s" in asked:
                await visit.page.get_by_label("For", exact=True).select_option("1 hour")
            else:
                await expect(visit.page.get_by_label("For", exact=True)).to_be_hidden()
            await visit.confirm("  the card is hot ")
            assert taken(site) == [{**asked, "why": "the card is hot"}]
            await expect(visit.find("#us-notice")).to_contain_text(f"{asked['name']} was done by local.")
            site.told.taken.clear()


async def test_an_open_call_is_cancelled(browser: Browser, site: FlowerSite) -> None:
    site.told.calls[canned.CALL] = canned.call(
        state="running", ended_ms=None, waits=["A worker has been asking openai."]
    )
    async with visiting(browser, site.address, path=LINKED) as visit:
        await visit.page.get_by_role("button", name="Cancel this call").click()
        await expect(visit.dialog).to_contain_text(f"{canned.CALL} ends without an answer")
        await visit.confirm("stuck")
        assert taken(site) == [{"name": "cancel", "call": canned.CALL, "why": "stuck"}]


async def test_before_a_cause_is_run_again_it_says_how_many_calls_and_what_they_cost_at_most(
    browser: Browser, site: FlowerSite
) -> None:
    async with visiting(browser, site.address) as visit:
        await visit.find(".us-cause summary").first.click()
        await visit.page.get_by_role("button", name="Run all 480 again").click()
        await expect(visit.dialog).to_contain_text("480 calls that failed (its time ran out) will run again")
        await expect(visit.dialog).to_contain_text("At most this costs $1.23.")
        await visit.picture("canned-retry-cause", whole=False)
        assert taken(site) == []
        await visit.confirm("the provider is back")
        confirmed = {"reason": "deadline", "before_ms": canned.BEFORE_MS}
        assert taken(site) == [{"name": "retry_cause", "why": "the provider is back", **confirmed}]


async def test_before_one_call_is_run_again_it_says_what_it_costs_at_most(browser: Browser, site: FlowerSite) -> None:
    async with visiting(browser, site.address, path=LINKED) as visit:
        await visit.page.get_by_role("button", name="Run this call again").click()
        await expect(visit.dialog).to_contain_text("At most this costs $0.00257.")
        del site.told.calls[canned.CALL]
        await visit.page.keyboard.press("Escape")
        await visit.page.get_by_role("button", name="Run this call again").click()
        await expect(visit.find("#us-dialog-error")).to_contain_text("No call has this id")
        await visit.find("#us-dialog-why").fill("again")
        await visit.find("#us-dialog-why").press("Enter")
        assert taken(site) == []


async def test_nothing_is_done_without_a_reason(browser: Browser, site: FlowerSite) -> None:
    async with visiting(browser, site.address) as visit:
        await visit.page.get_by_role("button", name="Force ollama").click()
        await visit.find("#us-dialog-why").fill("   ")
        await visit.find("#us-dialog-confirm").click()
        await expect(visit.find("#us-dialog-error")).to_have_text("Say why: it stands in the audit log.")
        await expect(visit.find("#us-dialog-why")).to_be_focused()
        await visit.page.get_by_role("button", name="Leave it").click()
        await expect(visit.dialog).to_be_hidden()
        assert taken(site) == []
        assert await visit.has_focus() == "Force ollama"


async def test_what_is_refused_stays_open_with_the_reason(browser: Browser, site: FlowerSite) -> None:
    site.told.refuses = "Redis did not answer in time."
    async with visiting(browser, site.address) as visit:
        await visit.page.get_by_role("button", name="Force ollama").click()
        await visit.find("#us-dialog-why").fill("to see")
        await visit.find("#us-dialog-confirm").click()
        await expect(visit.find("#us-dialog-error")).to_have_text("Redis did not answer in time.")
        await expect(visit.find("#us-dialog-why")).to_have_value("to see")
        site.told.refuses = ""
        await visit.confirm("to see")
        assert [action["name"] for action in taken(site)] == ["force"]


async def test_what_is_refused_after_the_dialog_was_left_is_said_on_the_page(
    browser: Browser, site: FlowerSite
) -> None:
    site.told.refuses, site.told.acts = "Redis did not answer in time.", asyncio.Event()
    async with visiting(browser, site.address) as visit:
        await visit.page.get_by_role("button", name="Force ollama").click()
        await visit.find("#us-dialog-why").fill("to see")
        await visit.find("#us-dialog-confirm").click()
        await expect(visit.find("#us-dialog-confirm")).to_have_text("Working…")
        await visit.page.keyboard.press("Escape")
        await expect(visit.dialog).to_be_hidden()
        site.told.acts.set()
        await expect(visit.find("#us-notice")).to_contain_text("Redis did not answer in time.")


async def test_the_keyboard_alone_is_enough(browser: Browser, site: FlowerSite) -> None:
    async with visiting(browser, site.address) as visit:
        press = visit.page.keyboard.press
        for _ in range(100):
            await press("Tab")
            if await visit.has_focus() == "Pause the queue ollama":
                break
        assert await visit.has_focus() == "Pause the queue ollama"
        ring = await visit.page.evaluate(
            "(s => s.outlineStyle + ' ' + s.outlineWidth)(getComputedStyle(document.activeElement))"
        )
        assert ring == "solid 2px"
        await visit.picture("canned-keyboard-focus", whole=False)
        await press("Enter")
        await expect(visit.find("#us-dialog-why")).to_be_focused()
        await visit.page.keyboard.type("by hand")
        await press("Shift+Tab")
        assert await visit.page.evaluate("document.activeElement.id") == "us-dialog-for"
        await press("ArrowUp")  # 10 minutes
        await press("Tab")
        await press("Enter")
        await expect(visit.dialog).to_be_hidden()
        assert taken(site) == [{"name": "pause", "queue": "ollama", "for_s": 600, "why": "by hand"}]
        assert await visit.has_focus() == "Pause the queue ollama"
        # What takes the button's place takes the focus.
        site.told.document["providers"][0]["queues"][0] |= {"paused_ms": 600_000, "paused_why": "by hand"}
        await expect(visit.page.get_by_role("button", name="Resume the queue ollama", exact=True)).to_be_focused()


async def test_a_cause_and_a_call_are_opened_with_the_keyboard(browser: Browser, site: FlowerSite) -> None:
    async with visiting(browser, site.address) as visit:
        await visit.page.get_by_label("Call id").focus()
        await visit.page.keyboard.type(canned.CALL)
        await visit.page.keyboard.press("Enter")
        await expect(visit.find(".us-call")).to_contain_text("It failed: its time ran out.")
        assert await visit.page.evaluate("document.activeElement.id") == "us-call-id"
        await visit.find(".us-cause summary").first.focus()
        await visit.page.keyboard.press("Enter")
        await expect(visit.find(".us-ended")).to_have_count(12)


async def test_a_button_that_goes_away_leaves_the_focus_nearby(browser: Browser, site: FlowerSite) -> None:
    site.told.calls[canned.CALL] = canned.call(state="running", ended_ms=None)
    async with visiting(browser, site.address, path=LINKED) as visit:
        await visit.page.get_by_role("button", name="Cancel this call").focus()
        site.told.calls[canned.CALL] = canned.call(state="cancelled")
        await expect(visit.page.get_by_role("button", name="Run this call again")).to_be_focused()
        cause = visit.find(".us-cause").first
        await cause.locator("summary").click()
        await cause.locator(".us-ended .btn").first.focus()
        site.told.causes["deadline"] = canned.cause(shown=0, total=0)
        site.told.document["causes"][0]["calls"] = 0
        await expect(cause.locator(".us-ended")).to_have_count(0)
        await expect(cause.locator("summary")).to_be_focused()
        site.told.document["causes"].pop(0)
        await expect(visit.find("#us-causes-title")).to_be_focused()


async def test_who_may_not_act_reads_why_and_gets_no_dialog(browser: Browser, site: FlowerSite) -> None:
    site.told.operators = ("ann",)
    async with visiting(browser, site.address) as visit:
        reason = "You are signed in as local, and UNDERSTUDY_OPERATORS does not name you: you may read."
        await expect(visit.find("#us-read-only")).to_have_text(f"Read only. {reason}")
        force = visit.page.get_by_role("button", name="Force ollama")
        await expect(force).to_have_attribute("title", reason)
        assert await visit.find(".us-content .btn:not([aria-disabled='true']):not([type='submit'])").count() == 0
        await force.focus()
        await visit.page.keyboard.press("Enter")
        await expect(visit.find("#us-notice")).to_contain_text(reason)
        await expect(visit.dialog).to_be_hidden()
        assert taken(site) == []
        await visit.picture("canned-read-only", whole=False)


async def test_the_question_fits_a_phone(browser: Browser, site: FlowerSite) -> None:
    async with visiting(browser, site.address, size=PHONE, dark=True) as visit:
        await visit.page.get_by_role("button", name="Force ollama").click()
        box = await visit.find("#us-dialog").bounding_box()
        assert box is not None
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= PHONE["width"]
        assert await visit.hidden_to_the_right() == 0
        await visit.picture("canned-question-phone-dark", whole=False)


async def test_the_page_works_behind_a_prefix_of_flowers(browser: Browser, site: FlowerSite) -> None:
    async with (
        FlowerSite(site.told, prefix="flower") as behind,
        visiting(browser, behind.address, path="/flower/providers") as visit,
    ):
        await visit.page.get_by_role("button", name="Force ollama").click()
        await visit.confirm()
        assert [action["name"] for action in taken(site)] == ["force"]
