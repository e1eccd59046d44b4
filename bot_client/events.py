"""What happens in a streamed agent turn, one class an event."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal, TypeAlias

if TYPE_CHECKING:
    from understudy.contracts.agent_turn import AgentTurnResult
    from understudy.contracts.call import Outcome


@dataclass(frozen=True)
class Started:
    """A provider was asked; it comes once for each that is."""

    provider: str
    model: str
    type: ClassVar[Literal["started"]] = "started"


@dataclass(frozen=True)
class Delta:
    """New text, to be added to what is shown."""

    text: str
    type: ClassVar[Literal["delta"]] = "delta"


@dataclass(frozen=True)
class ToolCalled:
    """The model calls a tool; `arguments` is JSON as text, as the model wrote it."""

    id: str
    name: str
    arguments: str
    type: ClassVar[Literal["tool_call"]] = "tool_call"


@dataclass(frozen=True)
class ToolReturned:
    """A tool returned, or failed: `content` is what the model is told."""

    id: str
    name: str
    content: str
    ok: bool
    type: ClassVar[Literal["tool_result"]] = "tool_result"


@dataclass(frozen=True)
class Restarted:
    """The answer begins anew: drop what you showed.

    Args:
        provider: who answers now; empty where it is not known.
        why: a row of the failure table, such as `cut`; or `missed events`, where what follows is the whole answer.
    """

    provider: str
    why: str
    type: ClassVar[Literal["restarted"]] = "restarted"


@dataclass(frozen=True)
class Done:
    """The answer is whole; nothing follows."""

    outcome: Outcome[AgentTurnResult]
    type: ClassVar[Literal["done"]] = "done"


AgentEvent: TypeAlias = Started | Delta | ToolCalled | ToolReturned | Restarted | Done
