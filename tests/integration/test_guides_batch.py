"""The guide about old messages, followed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.guides import BATCH, follow, stack_of

if TYPE_CHECKING:
    from pathlib import Path

    from workers.local_redis import Flavour


@pytest.mark.timeout(300)
@pytest.mark.parametrize("document", BATCH)
def test_a_reader_can_follow_it_block_by_block(document: str, tmp_path: Path, redis_flavour: Flavour) -> None:
    with stack_of((document,), tmp_path, redis_flavour, {"ollama,ollama.batch": 8, "openai,openai.batch": 8}) as stack:
        follow(document, tmp_path, stack)
