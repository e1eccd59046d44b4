"""Thread naming: a first message in, a short name for its thread out."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, Field, field_validator

from understudy.contracts.fields import CONTRACT, MessageText
from understudy.contracts.kind import Kind
from understudy.contracts.names import LINK, MIN_NAME, is_name, joined_name
from understudy.contracts.text import one_line

DEFAULT_LENGTH = 20
"""Characters that the list of threads on a telephone shows without cutting."""

LONGEST = 100
"""Characters that Discord allows; Telegram allows 128."""

_LANGUAGE = re.compile(r"[^\W\d_][\w ().'-]*")
_URL = re.compile(
    r"(?:[a-z][a-z0-9+.-]{1,15}://|www\.)(?:[^\s/?#<>\"')]*@)?(?P<host>[^\s/?#<>\"'):@]*)[^\s<>\"')]*", re.IGNORECASE
)
_MENTION = re.compile(r"<(?:@[!&]?|#|t:|/\w+:|a?:(?P<emoji>\w+):)\d+(?::\w)?>")
_FALLBACKS = ("Thread", "Topic", "Chat", "New")


def _blank_is_none(value: object) -> object:
    return (one_line(value) or None) if isinstance(value, str) else value


class ThreadNamingRequest(BaseModel):
    """What shall be named."""

    model_config = CONTRACT

    first_message: MessageText
    language: Annotated[Annotated[str, Field(max_length=35)] | None, BeforeValidator(_blank_is_none)] = None
    """Of the name, as a tag (`pt-BR`) or a word (`Portuguese`); without it, the message's own."""
    max_length: Annotated[int, Field(strict=True, ge=MIN_NAME, le=LONGEST)] = DEFAULT_LENGTH
    """The longest name, in code points, as `len` and chat platforms count. No visible character is ever split."""

    @field_validator("language")
    @classmethod
    def _is_language(cls, language: str | None) -> str | None:
        if language is not None and not _LANGUAGE.fullmatch(language):
            message = "must be a language tag or the name of a language: letters, digits, spaces, hyphens"
            raise ValueError(message)
        return language


class ThreadNamingResult(BaseModel):
    """A name: one line, 3 characters or more as a reader counts them."""

    model_config = CONTRACT

    name: Annotated[str, Field(max_length=LONGEST)]

    @field_validator("name")
    @classmethod
    def _is_clean(cls, name: str) -> str:
        if name != one_line(name) or not is_name(name):
            message = f"must be one line of at least {MIN_NAME} visible characters"
            raise ValueError(message)
        return name


def degraded_name(request: ThreadNamingRequest) -> ThreadNamingResult:
    """A name made from the message itself, for when no provider answers in time.

    Links and mentions are left out; of a message that is nothing but a link, the host is the name. What is too short
    to be a name gets a word before it, and what says nothing is replaced by that word. Of a link no more than the host
    is ever shown: the rest may carry a password or a token.
    """
    message, limit = request.first_message, request.max_length
    words = _MENTION.sub(lambda match: f" {match['emoji'] or ''} ", message)
    without_links = _URL.sub(" ", LINK.sub(r"\g<text>", words))
    hosts = " ".join(match["host"].removeprefix("www.") for match in _URL.finditer(words))
    fallback = next(word for word in _FALLBACKS if len(word) <= limit)
    # In order of what tells most; the last one always fits.
    for candidate in (without_links, hosts, f"{fallback} {without_links.strip()}", fallback):
        if name := joined_name(candidate, limit):
            return ThreadNamingResult(name=name)
    return ThreadNamingResult(name=fallback)


KIND = Kind("thread_naming", ThreadNamingRequest, ThreadNamingResult, deadline_s=15.0, degraded=degraded_name)
