"""What a bot imports: `async with Understudy.from_settings() as llm: await llm.moderate(...)`.

Names are loaded when they are first used, so that a command line's `--help` and pytest's start stay quick.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bot_client.call import Call
    from bot_client.client import Understudy
    from bot_client.conversation import Conversation
    from bot_client.events import AgentEvent, Delta, Done, Restarted, Started, ToolCalled, ToolReturned
    from bot_client.interface import Client
    from bot_client.status import CallStatus, ProviderStatus
    from bot_client.stream import AgentStream
    from understudy.contracts.agent_turn import AgentTurnRequest, AgentTurnResult
    from understudy.contracts.call import Attempt, Outcome, Spend, Status, Usage
    from understudy.contracts.moderation import Action, ModerationRequest, ModerationResult, Violation
    from understudy.contracts.thread_naming import ThreadNamingRequest, ThreadNamingResult
    from understudy.contracts.tools import ToolSpec
    from understudy.errors import (
        AllProvidersFailed,
        BudgetExceeded,
        CallCancelled,
        CallError,
        DeadlineExceeded,
        InvalidRequest,
        JobStopped,
        KeyConflict,
        NoWorkers,
        Quarantined,
        SettingsError,
        Unavailable,
        UnderstudyError,
        UnknownCall,
        VersionMismatch,
    )
    from understudy.settings import Settings, load_settings
    from understudy.state.spend import BudgetUse, SpendReport, SpendRow

__all__ = [
    "Action",
    "AgentEvent",
    "AgentStream",
    "AgentTurnRequest",
    "AgentTurnResult",
    "AllProvidersFailed",
    "Attempt",
    "BudgetExceeded",
    "BudgetUse",
    "Call",
    "CallCancelled",
    "CallError",
    "CallStatus",
    "Client",
    "Conversation",
    "DeadlineExceeded",
    "Delta",
    "Done",
    "InvalidRequest",
    "JobStopped",
    "KeyConflict",
    "ModerationRequest",
    "ModerationResult",
    "NoWorkers",
    "Outcome",
    "ProviderStatus",
    "Quarantined",
    "Restarted",
    "Settings",
    "SettingsError",
    "Spend",
    "SpendReport",
    "SpendRow",
    "Started",
    "Status",
    "ThreadNamingRequest",
    "ThreadNamingResult",
    "ToolCalled",
    "ToolReturned",
    "ToolSpec",
    "Unavailable",
    "Understudy",
    "UnderstudyError",
    "UnknownCall",
    "Usage",
    "VersionMismatch",
    "Violation",
    "load_settings",
]

_HOMES = {
    "bot_client.call": ("Call",),
    "bot_client.client": ("Understudy",),
    "bot_client.conversation": ("Conversation",),
    "bot_client.events": ("AgentEvent", "Delta", "Done", "Restarted", "Started", "ToolCalled", "ToolReturned"),
    "bot_client.interface": ("Client",),
    "bot_client.status": ("CallStatus", "ProviderStatus"),
    "bot_client.stream": ("AgentStream",),
    "understudy.contracts.agent_turn": ("AgentTurnRequest", "AgentTurnResult"),
    "understudy.contracts.call": ("Attempt", "Outcome", "Spend", "Status", "Usage"),
    "understudy.contracts.moderation": ("Action", "ModerationRequest", "ModerationResult", "Violation"),
    "understudy.contracts.thread_naming": ("ThreadNamingRequest", "ThreadNamingResult"),
    "understudy.contracts.tools": ("ToolSpec",),
    "understudy.settings": ("Settings", "load_settings"),
    "understudy.state.spend": ("BudgetUse", "SpendReport", "SpendRow"),
}
"""Where each name lives; the rest are errors."""


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'bot_client' has no attribute {name!r}")
    home = next((module for module, names in _HOMES.items() if name in names), "understudy.errors")
    value = globals()[name] = getattr(import_module(home), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
