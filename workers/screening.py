"""A moderation that a provider's moderation endpoint answers: free, where a group's rules are the default ones.

The endpoint looks for harmful content alone. What it finds becomes a verdict in our terms, marked as `screened`:
whether the message helps, how good it is, whether it is spam or off topic, nobody has judged.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from understudy.contracts.moderation import (
    DEFAULT_RULES,
    KIND,
    Action,
    ModerationRequest,
    ModerationResult,
    Violation,
)
from workers.chat_reply import MAX_BYTES, Malformed
from workers.failures import Health, ProviderFailure
from workers.kind_work import KindWork, Prompt, Reply, work_for
from workers.unusable import Unusable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from pydantic import BaseModel

    from understudy.providers import Provider
    from understudy.settings import Settings

MODEL = "omni-moderation-latest"
PROVIDER = "openai"
"""Others that speak the chat completions API have no such endpoint, or another one."""

_TOXIC, _OTHER = Violation.TOXIC, Violation.OTHER
CATEGORIES: dict[str, tuple[Violation, Action]] = {
    "sexual/minors": (_TOXIC, Action.DELETE),
    "hate/threatening": (_TOXIC, Action.DELETE),
    "harassment/threatening": (_TOXIC, Action.DELETE),
    "hate": (_TOXIC, Action.DELETE),
    "sexual": (_TOXIC, Action.DELETE),
    "violence/graphic": (_TOXIC, Action.DELETE),
    "illicit/violent": (_OTHER, Action.DELETE),
    "illicit": (_OTHER, Action.DELETE),
    "self-harm/instructions": (_OTHER, Action.DELETE),
    "harassment": (_TOXIC, Action.WARN),
    "violence": (_TOXIC, Action.WARN),
}
"""What each of the endpoint's categories is in ours, the gravest first; one that is not known here is a warning."""

IN_NEED = frozenset({"self-harm", "self-harm/intent"})
"""Who writes so may be in need: a person must look, no bot warns or deletes."""


@dataclass(frozen=True)
class ScreenPrompt(Prompt):
    """A prompt for the moderation endpoint; its one message is the text to look at."""

    @property
    def body(self) -> dict[str, Any]:
        """What is sent."""
        return {"model": MODEL, "input": self.messages[0]["content"]}


def is_screened(settings: Settings, provider: Provider, request: BaseModel) -> bool:
    """Whether the moderation endpoint answers this request at this provider."""
    return (
        settings.moderation_fallback == "endpoint"
        and provider.name == PROVIDER
        and isinstance(request, ModerationRequest)
        and request.rules == DEFAULT_RULES
    )


def work_of(settings: Settings, provider: Provider, kind: str, request: BaseModel) -> KindWork:
    """How this request is worked on at this provider."""
    return SCREENING if is_screened(settings, provider, request) else work_for(kind)


def build(request: ModerationRequest) -> ScreenPrompt:
    """The prompt: the text alone, as it is."""
    return ScreenPrompt([{"role": "user", "content": request.text}])


def read(reply: Reply, _request: ModerationRequest) -> ModerationResult:
    """The verdict on what the endpoint found.

    Raises:
        Unusable: its categories cannot be read.
    """
    found = json.loads(reply.text)
    categories = found.get("categories")
    if not isinstance(categories, dict) or not isinstance(found.get("flagged"), bool):
        raise Unusable("wrong_schema", "The moderation endpoint gave no categories.")
    flagged = sorted(str(name) for name, value in categories.items() if value is True)
    if not flagged and not found["flagged"]:
        reason = "The provider's moderation endpoint found nothing harmful; spam and topic were not judged."
        return _verdict(None, Action.NONE, reason)
    names = ", ".join(name for name in flagged if name in CATEGORIES or name in IN_NEED) or "a category of its own"
    if IN_NEED.intersection(flagged):
        reason = f"The provider's moderation endpoint found {names}: a person must look at it."
        return _verdict(None, Action.NONE, reason, needs_review=True)
    gravest = next((name for name in CATEGORIES if name in flagged), "")
    violation, action = CATEGORIES.get(gravest, (_OTHER, Action.WARN))
    return _verdict(violation, action, f"The provider's moderation endpoint found {names}.")


def reask(prompt: Prompt, _reply: Reply, _fault: str) -> Prompt:
    """The same once more: there is no model that could be told what was wrong."""
    return prompt


def of_endpoint(failure: ProviderFailure) -> ProviderFailure:
    """A failure of the endpoint; where it is missing, as at other services, the chat beside it may well be there."""
    if failure.row.name == "model_missing":
        failure.row = replace(failure.row, health=Health.NONE)
    return failure


async def as_completion(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The endpoint's answer as a chat completion that says it, so that it is read under the same limits.

    Raises:
        Malformed: it is none.
    """
    body = bytearray()
    async for piece in pieces:
        body += piece
        if len(body) > MAX_BYTES:
            raise Malformed("longer than any answer")
    try:
        answer: Any = json.loads(body)
        content = json.dumps(dict(answer["results"][0]))
        model = str(answer["model"])
    except (ValueError, TypeError, LookupError, RecursionError):
        raise Malformed("not an answer of a moderation endpoint") from None
    choice = {"index": 0, "message": {"content": content}, "finish_reason": "stop"}
    usage = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
    yield json.dumps({"model": model, "choices": [choice], "usage": usage}).encode()


def _verdict(
    violation: Violation | None, action: Action, reason: str, *, needs_review: bool = False
) -> ModerationResult:
    return ModerationResult(
        helpful=None,
        violation=violation,
        quality_score=None,
        action=action,
        reason=reason,
        needs_review=needs_review,
        screened=True,
    )


SCREENING = KindWork(KIND, build, read, reask)
