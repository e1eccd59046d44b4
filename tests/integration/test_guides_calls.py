"""The guides about bots, conversations, failures and money, followed on one stack."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.guides import CALLS, follow, stack_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from tests.support.stack import Stack
    from workers.local_redis import Flavour


@pytest.fixture(scope="module")
def module_stack(tmp_path_factory: pytest.TempPathFactory, redis_flavour: Flavour) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("calls")
    with stack_of(CALLS, folder, redis_flavour, {"ollama,openai": 8}) as stack:
        yield stack


@pytest.fixture
async def stack(module_stack: Stack, request: pytest.FixtureRequest) -> AsyncIterator[Stack]:
    await module_stack.renew()
    with module_stack.shown_on_failure(request.session):
        yield module_stack


@pytest.mark.timeout(300)
@pytest.mark.parametrize("document", CALLS)
def test_a_reader_can_follow_it_block_by_block(document: str, tmp_path: Path, stack: Stack) -> None:
    follow(document, tmp_path, stack)
