"""The guides about settings, further kinds, tools and providers, followed; their readers start the workers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.guides import EXTENDING, follow, stack_of

if TYPE_CHECKING:
    from pathlib import Path

    from workers.local_redis import Flavour


@pytest.mark.timeout(300)
@pytest.mark.parametrize("document", EXTENDING)
def test_a_reader_can_follow_it_block_by_block(document: str, tmp_path: Path, redis_flavour: Flavour) -> None:
    with stack_of((document,), tmp_path, redis_flavour, {}) as stack:
        follow(document, tmp_path, stack)
