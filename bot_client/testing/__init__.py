"""For a bot's own tests: a client in memory, with the interface of the real one and answers that the test scripts.

With pytest, the fixture `fake_understudy` gives one.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bot_client.testing.entry import RecordedCall
    from bot_client.testing.fake import FakeUnderstudy
    from bot_client.testing.script import Plan, Script

__all__ = ["FakeUnderstudy", "Plan", "RecordedCall", "Script"]


def __getattr__(name: str) -> Any:
    # Loaded at first use, because pytest imports this package at each of its starts for the fixture's sake.
    if name not in __all__:
        raise AttributeError(f"module 'bot_client.testing' has no attribute {name!r}")
    home = {"FakeUnderstudy": "fake", "RecordedCall": "entry"}.get(name, "script")
    return getattr(import_module(f"bot_client.testing.{home}"), name)
