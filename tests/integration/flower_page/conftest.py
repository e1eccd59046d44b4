"""The page of providers in a real browser, on a server that tells it what a test wants."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest_asyncio

from tests.support import flower_canned as canned
from tests.support.browser import chromium
from tests.support.flower_site import FlowerSite, Told

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from playwright.async_api import Browser


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    """One for all tests of a file."""
    async with chromium() as started:
        yield started


@pytest_asyncio.fixture(loop_scope="module")
async def site() -> AsyncIterator[FlowerSite]:
    """Flower with the page, on a bad day."""
    told = Told(canned.busy(), calls={canned.CALL: canned.call()}, causes={"deadline": canned.cause()})
    async with FlowerSite(told) as serving:
        yield serving
