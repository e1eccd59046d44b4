"""An operator over a ledger that a test drives by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.support.health import OLLAMA, OPENAI
from understudy.settings import load_settings
from understudy.state.operations import Operations

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.support.ledger import Drive
    from understudy.providers import Provider
    from understudy.state.record import Record


def operating(drive: Drive, providers: Sequence[Provider] = (OLLAMA, OPENAI), **settings: Any) -> Operations:
    """What an operator can do there."""
    known = load_settings(env_file=None, **settings)
    return Operations(drive.redis, drive.keys, providers, known, shift_ms=lambda: drive.shift)


async def record_of(drive: Drive, call_id: str = "c1") -> Record:
    """A call's record, which must be there."""
    record = await drive.ledger.record(call_id)
    assert record is not None
    return record
