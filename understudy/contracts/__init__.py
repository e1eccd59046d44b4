"""What may be asked and what comes back, one kind a file."""

from __future__ import annotations

from understudy.contracts import agent_turn, moderation, thread_naming
from understudy.contracts.kind import Kind

KINDS: dict[str, Kind] = {kind.name: kind for kind in (moderation.KIND, thread_naming.KIND, agent_turn.KIND)}
"""Every kind of call by its name."""

__all__ = ["KINDS", "Kind"]
