"""Stacks for tests that break them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.stack import Stack

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from workers.local_redis import Flavour


@pytest.fixture(scope="session")
def shared_stack(tmp_path_factory: pytest.TempPathFactory, redis_flavour: Flavour) -> Iterator[Stack]:
    """One stack for all tests of this process that leave Redis alone."""
    # An attempt outlasts a frozen worker's lease; a shutdown that a test waits for.
    more = {"OLLAMA_TIMEOUT": "40", "UNDERSTUDY_SHUTDOWN_GRACE_S": "3"}
    with Stack(tmp_path_factory.mktemp("stack"), redis_flavour, settings=more) as stack:
        yield stack


@pytest.fixture
async def stack(shared_stack: Stack, request: pytest.FixtureRequest) -> AsyncIterator[Stack]:
    """The shared stack, as new: two workers of 16, `ollama` and `openai`."""
    await shared_stack.renew()
    with shared_stack.shown_on_failure(request.session):
        yield shared_stack
