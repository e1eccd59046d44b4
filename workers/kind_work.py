"""What a worker needs to know of a kind: how its prompt is built, and how a reply is read.

The kinds themselves stand in `tasks/`, which imports this; importing a module there registers its kind.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pydantic import BaseModel

    from understudy.contracts import Kind
    from workers.tools import Offer


@dataclass(frozen=True)
class Prompt:
    """What is sent to a provider, in the terms of the chat completions API.

    Args:
        messages: oldest first.
        response_format: what the answer is held to; None for free text.
        temperature: None takes the one from the settings.
        max_tokens: of the answer; None takes the one from the settings.
        tools: that the model may call, as the API describes them.
        trims: its oldest exchanges may be left out where the model's window is too small for all.
    """

    messages: list[dict[str, Any]]
    response_format: dict[str, Any] | None = None
    temperature: float | None = None
    max_tokens: int | None = None
    tools: list[dict[str, Any]] = field(default_factory=list)
    trims: bool = False


@dataclass(frozen=True)
class Reply:
    """What came back, complete.

    Args:
        text: the content of the message; empty where it had none.
        finish_reason: as the provider gave it; None where it did not.
        refusal: the provider's own field for a model that declines.
        tool_calls: in the form of the chat completions API.
    """

    text: str
    finish_reason: str | None = None
    refusal: str | None = None
    tool_calls: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True)
class KindWork:
    """How one kind is worked on, in pure functions.

    Args:
        kind: which one.
        build: makes the prompt of a request.
        read: makes the result of a reply and its request; raises `Unusable` or `Refused`.
        reask: makes the second prompt of the first one, the unusable reply and its fault.
        offer: the tools that a request lets the model call; raises `UnknownTool`. None: the kind has none.
        sample: a short request with every field set: what its prompt has beside the request is measured by it, to know
            what a paid request can cost. Without one, 16,000 tokens are taken.
        streams: whether its answers may be read as they come: what `read` makes of one has a `text`.
        escapes: whether `build` may write characters of the request as escapes of up to six times their bytes.
    """

    kind: Kind
    build: Callable[[Any], Prompt]
    read: Callable[[Reply, Any], BaseModel]
    reask: Callable[[Prompt, Reply, str], Prompt]
    offer: Callable[[Any], Offer | None] | None = None
    sample: Mapping[str, Any] | None = None
    escapes: bool = True
    streams: bool = False


_works: dict[str, KindWork] = {}


def register(work: KindWork) -> KindWork:
    """Make a kind known to this process; called once by each module of `tasks/`."""
    _works[work.kind.name] = work
    return work


def work_for(kind: str) -> KindWork:
    """How a kind is worked on; KeyError for one that no imported module registered."""
    return _works[kind]
