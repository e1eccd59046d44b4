"""A paid provider whose price nobody knows is asked by nobody."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.stack import Stack
from understudy.errors import CallError
from workers.stand_in import Fate

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from workers.local_redis import Flavour


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, redis_flavour: Flavour) -> Iterator[Stack]:
    directory: Path = tmp_path_factory.mktemp("unpriced")
    with Stack(directory, redis_flavour, workers={"ollama,openai": 4}, UNDERSTUDY_PRICES="{}") as stack:
        yield stack


async def test_its_worker_says_which_setting_to_add_and_announces_the_other_queue_alone(stack: Stack) -> None:
    (worker,) = stack.workers.values()
    said = worker.text()
    assert "The paid provider openai is absent: its model gpt-stand-in has no price;" in said
    assert "add it to UNDERSTUDY_PRICES" in said
    async with stack.look() as look:
        seen = await look.health.snapshot()
    assert (seen.queue("ollama").concurrency, seen.queue("openai").concurrency) == (4, 0)


async def test_calls_go_on_with_the_free_one_and_fail_where_it_fails(stack: Stack) -> None:
    async with stack.client() as llm:
        assert (await llm.moderate("hello")).provider == "ollama"
        stack.ollama.set_fate(Fate(refuse=True))
        with pytest.raises(CallError):
            await llm.moderate("hello again", deadline_s=3)
    assert stack.counts("openai")["total"] == 0
