"""What more than one unit test stands on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from workers.loop import LoopThread

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def loop() -> Iterator[LoopThread]:
    """The loop of a worker, in its thread."""
    thread = LoopThread()
    thread.start()
    yield thread
    thread.stop()
