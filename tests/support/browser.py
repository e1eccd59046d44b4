"""A real browser, Debian's Chromium, and somebody who looks at a page with it and notices what goes wrong."""

from __future__ import annotations

import os
import shutil
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from playwright.async_api import async_playwright, expect

from tests.support.polling import aeventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from playwright.async_api import Browser, Locator, Page, Request, ViewportSize

LIMIT_MS = 30_000
"""Generous: it ends a test that would never end."""

DESKTOP: ViewportSize = {"width": 1280, "height": 900}
PHONE: ViewportSize = {"width": 360, "height": 740}
OUT = Path(os.environ.get("UNDERSTUDY_ARTIFACTS") or Path(__file__).resolve().parents[2] / ".artifacts") / "flower"
"""Where pictures of the pages are kept."""

expect.set_options(timeout=LIMIT_MS)


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """The browser, without a window."""
    async with async_playwright() as playwright:
        # Its sandbox needs rights that a container rarely gives; what it opens here is ours alone.
        browser = await playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        try:
            yield browser
        finally:
            await browser.close()


class Visit:
    """One person's look at the page of providers.

    Attributes:
        page: the browser's page.
        problems: what the browser complained of, and requests that left this machine.
    """

    def __init__(self, page: Page, host: str) -> None:
        self.page = page
        self.problems: list[str] = []
        self._host = host
        page.set_default_timeout(LIMIT_MS)
        page.on("console", lambda said: self._complain(said.text) if said.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: self._complain(str(error)))
        page.on("request", self._requested)

    def find(self, selector: str) -> Locator:
        """What a selector finds."""
        return self.page.locator(selector)

    def card(self, provider: str) -> Locator:
        """A provider's card."""
        return self.page.get_by_role("article", name=provider, exact=True)

    @property
    def dialog(self) -> Locator:
        """The question before an action."""
        return self.page.get_by_role("dialog")

    async def confirm(self, why: str = "to see") -> None:
        """Say why, and confirm."""
        await expect(self.find("#us-dialog-confirm")).to_have_attribute("aria-disabled", "false")
        await self.find("#us-dialog-why").fill(why)
        await self.find("#us-dialog-confirm").click()
        await expect(self.dialog).to_be_hidden()

    async def live(self) -> None:
        """Wait until the page shows what was read just now."""
        await expect(self.find("#us-page")).to_have_attribute("data-state", "live")

    async def has_focus(self) -> str:
        """The name of what has the focus, as it is read out."""
        script = "(e => e.getAttribute('aria-label') || e.textContent.trim() || e.id)(document.activeElement)"
        return str(await self.page.evaluate(script))

    async def hidden_to_the_right(self) -> int:
        """How far one could scroll the page sideways."""
        return int(
            await self.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        )

    async def picture(self, name: str, *, whole: bool = True) -> None:
        """Keep a picture of the page, or of what is seen of its top."""
        OUT.mkdir(parents=True, exist_ok=True)
        # Flower's bar sticks to where one has scrolled; Bootstrap scrolls smoothly, and what is under way goes on.
        top = "(scrollTo({top: 0, behavior: 'instant'}), scrollY === 0)"
        await aeventually(lambda: self.page.evaluate(top))
        await self.page.screenshot(path=OUT / f"{name}.png", full_page=whole, animations="disabled")

    def _complain(self, words: str) -> None:
        # The browser says so of each answer above 399; the page itself has words for them.
        if "the server responded with a status of" not in words:
            self.problems.append(words)

    def _requested(self, request: Request) -> None:
        address = urlsplit(request.url)
        if address.scheme != "data" and address.netloc != self._host:
            self.problems.append(f"it asked {request.url}")


@asynccontextmanager
async def visiting(
    browser: Browser,
    address: str,
    *,
    path: str = "/providers",
    dark: bool = False,
    size: ViewportSize = DESKTOP,
    **more: Any,
) -> AsyncIterator[Visit]:
    """Open the page, and see at the end that nothing was wrong with it.

    Args:
        address: of the server.
        size: of the window; a desktop's by default.
        more: of the browser's context, such as ``reduced_motion``.
    """
    context = await browser.new_context(
        viewport=size, color_scheme="dark" if dark else "light", timezone_id="Europe/Berlin", **more
    )
    try:
        visit = Visit(await context.new_page(), urlsplit(address).netloc)
        # It runs by itself, and a test can put it forward.
        await visit.page.clock.install()
        await visit.page.goto(address + path)
        await visit.live()
        yield visit
        assert visit.problems == []
    finally:
        await context.close()
