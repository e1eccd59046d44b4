"""Moderation: one message of a group in, a verdict out."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Self

from pydantic import BaseModel, BeforeValidator, Field, field_validator, model_validator

from understudy.contracts.fields import CONTRACT, MAX_TEXT, MessageText, OptionalId, OptionalLine, OptionalText
from understudy.contracts.kind import Kind
from understudy.contracts.text import is_visible, one_line

MAX_REASON = 300
"""Characters of a reason: one sentence, short enough for a moderator's list."""

DEFAULT_RULES = """\
Spam: no advertising, scams, phishing, prize draws, paid services, mass invitations or repeated postings.
Toxic: no insults, threats, harassment, hate against people or groups, sexual content or calls for harm.
Off topic: stay with what the group is about, where its title or the message replied to tells; small talk is welcome.
Other: no private data of other people, no malware, nothing illegal.
Disagreement, criticism, mild swearing at no one and questions of beginners are allowed. In doubt, allow."""
"""For a group that has none of its own."""


def _default_where_blank(value: object) -> object:
    return DEFAULT_RULES if value is None or (isinstance(value, str) and not is_visible(value)) else value


class Violation(StrEnum):
    """What a message breaks."""

    SPAM = "spam"
    TOXIC = "toxic"
    OFF_TOPIC = "off_topic"
    OTHER = "other"


class Action(StrEnum):
    """What a bot should do about a message."""

    NONE = "none"
    WARN = "warn"
    DELETE = "delete"


class ModerationRequest(BaseModel):
    """What shall be judged, by which rules, and what is known about it."""

    model_config = CONTRACT

    text: MessageText
    rules: Annotated[str, Field(max_length=MAX_TEXT), BeforeValidator(_default_where_blank)] = DEFAULT_RULES
    chat_id: OptionalId = None
    chat_title: OptionalLine = None
    message_id: OptionalId = None
    user_id: OptionalId = None
    author: OptionalLine = None
    """The name of who wrote it."""
    reply_to: OptionalText = None
    """The text of the message that this one answers."""


class ModerationResult(BaseModel):
    """A verdict, or word that a person has to give it.

    With `needs_review` nothing was judged, with `screened` only a part: `helpful` and `quality_score` are None then,
    and only then, so that "not evaluated" never passes for a clean bill.
    """

    model_config = CONTRACT

    helpful: Annotated[bool, Field(strict=True)] | None
    violation: Violation | None
    quality_score: Annotated[int, Field(strict=True, ge=0, le=10)] | None
    """From 0 (worthless to the group) to 10."""
    action: Action
    reason: Annotated[str, Field(max_length=MAX_REASON)]
    """One sentence."""
    needs_review: Annotated[bool, Field(strict=True)] = False
    screened: Annotated[bool, Field(strict=True)] = False
    """A provider's moderation endpoint looked for harmful content; spam, topic and quality were not judged."""

    @field_validator("reason")
    @classmethod
    def _is_one_line(cls, reason: str) -> str:
        if not is_visible(reason) or reason != one_line(reason):
            message = "must be one sentence on one line"
            raise ValueError(message)
        return reason

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if self.action is not Action.NONE and self.violation is None:
            message = f"has the action {self.action} without a violation"
            raise ValueError(message)
        if self.screened and (self.helpful is not None or self.quality_score is not None):
            message = "must not give helpful or quality_score where screened is true"
            raise ValueError(message)
        judged = not self.needs_review and not self.screened
        if judged and (self.helpful is None or self.quality_score is None):
            message = "must give helpful and quality_score, unless needs_review is true"
            raise ValueError(message)
        if self.needs_review and (self.helpful is not None or self.quality_score is not None or self.violation):
            message = "must not give helpful, quality_score or violation where needs_review is true"
            raise ValueError(message)
        return self


def needs_review(reason: str) -> ModerationResult:
    """The answer for a message that a provider would not judge: nothing is done to it until a person has looked.

    Args:
        reason: one sentence of at most 300 characters.
    """
    return ModerationResult(
        helpful=None, violation=None, quality_score=None, action=Action.NONE, reason=reason, needs_review=True
    )


KIND = Kind("moderation", ModerationRequest, ModerationResult, deadline_s=30.0)
