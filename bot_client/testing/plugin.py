"""The pytest fixture `fake_understudy`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from bot_client.testing.fake import FakeUnderstudy


@pytest.fixture
def fake_understudy() -> FakeUnderstudy:
    """A client in memory; give it to the code under test in place of `bot_client.Understudy`."""
    from bot_client.testing.fake import FakeUnderstudy  # noqa: PLC0415 - pytest loads this file at each of its starts

    return FakeUnderstudy()
