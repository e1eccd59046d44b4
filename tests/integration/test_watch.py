"""A local provider that nobody asks is looked after: that it is gone is known without a call that had to find out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.polling import aeventually
from tests.support.stack import Stack
from understudy.state.health import CLOSED, OPEN
from workers.stand_in import Fate

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bot_client import Understudy
    from bot_client.status import ProviderStatus
    from workers.local_redis import Flavour


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory, redis_flavour: Flavour) -> Iterator[Stack]:
    """A stack whose workers look after their local provider."""
    with Stack(tmp_path_factory.mktemp("watch"), redis_flavour, UNDERSTUDY_WATCH="true") as stack:
        yield stack


async def local(llm: Understudy) -> ProviderStatus:
    """What is known of the local provider."""
    return next(status for status in await llm.provider_status() if status.name == "ollama")


def looks(watched: Stack) -> int:
    """How often it was asked for its models."""
    return int(watched.ollama.counts(records=False)["paths"].get("/v1/models", 0))


async def test_one_that_connects_and_says_nothing_may_be_busy_and_stays_closed(watched: Stack) -> None:
    watched.ollama.set_fate(Fate(silence=True))
    before = looks(watched)
    async with watched.client() as llm:
        await aeventually(lambda: looks(watched) > before + 2, limit_s=30)
        assert (await local(llm)).breaker == CLOSED
    watched.ollama.set_fate(Fate())


async def test_a_local_provider_that_stops_while_nobody_asks_is_open_and_the_next_call_goes_past_it(
    watched: Stack,
) -> None:
    async with watched.client() as llm:
        assert (await local(llm)).breaker == CLOSED
        watched.ollama.kill()

        async def is_open() -> ProviderStatus:
            status = await local(llm)
            assert status.breaker == OPEN
            return status

        status = await aeventually(is_open, limit_s=30)
        assert status.why == "refused"
        outcome = await llm.moderate("hello")
        assert ([attempt.provider for attempt in outcome.attempts], outcome.provider) == (["openai"], "openai")
