"""Text as users and models write it: reasoning taken out, made one line, one sentence."""

from __future__ import annotations

import re
import unicodedata

_CODE = r"```.*?```|`[^`\n]+`"
REASONING_TAGS = "think|thinking|thought|reasoning|reflection"
TURN_BREAK = "\n\n"
"""Between what a model says before it calls a tool, and after."""
_REASONING = re.compile(
    rf"(?P<code>{_CODE})|<(?P<tag>{REASONING_TAGS})>.*?(?:</(?P=tag)>|\Z)",
    re.DOTALL | re.IGNORECASE,
)
_ORPHAN_CLOSE = re.compile(rf"(?P<code>{_CODE})|</(?:{REASONING_TAGS})>", re.DOTALL | re.IGNORECASE)
_SPACE = re.compile(r"[\s\x00-\x1f\x7f-\x9f]+")
_SENTENCE_END = re.compile(r"(?<=[.!?])[\"')\]]?\s+(?=[^\W\d_a-z])|(?<=[。！？])")

ZERO_WIDTH_JOINERS = "\u200c\u200d"
"""Invisible, yet part of words in Persian and of emoji: the only format characters that a clean line keeps."""


def strip_reasoning(text: str) -> str:
    """Take out what a model thought aloud, so that the answer alone is left.

    Code spans stay untouched, for an answer may speak about such tags. A block that was never closed goes to the end;
    a closing tag without an opening one (some chat templates open it in the prompt) takes all that stands before it.
    """
    text = _REASONING.sub(lambda match: match["code"] or "", text)
    closed_at = max((match.end() for match in _ORPHAN_CLOSE.finditer(text) if match["code"] is None), default=0)
    return text[closed_at:].strip()


def is_visible(text: str) -> bool:
    """Whether a reader would see anything at all of this text."""
    return any(unicodedata.category(char)[0] not in "CZ" for char in text)


def one_line(text: str) -> str:
    """The text as one line: each run of whitespace and control characters becomes one space."""
    return _SPACE.sub(" ", text).strip()


def without_format_characters(text: str) -> str:
    """Drop what is invisible and only changes how the rest is shown, such as direction overrides."""
    return "".join(
        char
        for char in text
        if unicodedata.category(char) not in ("Cf", "Cs") or char in ZERO_WIDTH_JOINERS or char >= "\U000e0020"
    )


def one_sentence(text: str, limit: int) -> str:
    """The first sentence of a text, of at most `limit` characters; one that is longer ends in an ellipsis at a word."""
    line = _SENTENCE_END.split(one_line(text), maxsplit=1)[0].strip()
    if len(line) <= limit:
        return line
    head = line[: limit - 1]
    at_word, space, _ = head.rpartition(" ")
    # A text without spaces (Chinese, or one endless word) has no better place for the cut.
    return (at_word if space and len(at_word) > limit // 2 else head).rstrip(" ,;:-") + "…"
