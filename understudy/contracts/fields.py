"""Types of fields that several contracts share."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field

from understudy.contracts.text import is_visible, one_line

MAX_TEXT = 8_000
"""Characters of one message: twice what Discord allows its paying users, nearly twice Telegram's 4,096."""

MAX_LABEL = 200
"""Characters of a name, a title or an id; chat platforms allow 64 to 128."""

CONTRACT = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)
"""Of every contract: unknown fields are refused, nothing changes afterwards, no error repeats what a user wrote."""


def _visible(text: str) -> str:
    if not is_visible(text):
        message = "holds nothing that a reader could see; at least 1 visible character is needed"
        raise ValueError(message)
    return text


def _blank_is_none(value: object) -> object:
    return None if isinstance(value, str) and not is_visible(value) else value


def _line(value: object) -> object:
    return one_line(value) if isinstance(value, str) else value


def number_as_text(value: object) -> object:
    """An id as text: Telegram's are numbers, Discord's are text, and a bot passes on what it has."""
    return str(value) if type(value) is int and abs(value) < 10**MAX_ID_DIGITS else value


MAX_ID_DIGITS = 40
"""More than any platform's; without a limit, a hostile number would take long to print."""

MessageText = Annotated[str, Field(min_length=1, max_length=MAX_TEXT), AfterValidator(_visible)]
OptionalText = Annotated[Annotated[str, Field(max_length=MAX_TEXT)] | None, BeforeValidator(_blank_is_none)]
"""Blank counts as not given."""

_Label = Annotated[str, Field(max_length=MAX_LABEL)]
OptionalLine = Annotated[_Label | None, BeforeValidator(_blank_is_none), BeforeValidator(_line)]
"""One line; line breaks and control characters become spaces, for the author of a name is not the bot."""

OptionalId = Annotated[
    _Label | None, BeforeValidator(_blank_is_none), BeforeValidator(_line), BeforeValidator(number_as_text)
]
"""An id, also as a whole number."""
