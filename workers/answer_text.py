"""An answer's text as it may be shown while it arrives: what `strip_reasoning` leaves of the whole, piece by piece."""

from __future__ import annotations

import re
from enum import Enum, auto

from understudy.contracts.text import REASONING_TAGS

_TAG = re.compile(rf"<(?P<close>/?)(?P<tag>{REASONING_TAGS})>", re.IGNORECASE)
_TAGS = tuple(f"<{close}{tag}>" for tag in REASONING_TAGS.split("|") for close in ("", "/"))
_LONGEST = max(map(len, _TAGS))
_SIGN = re.compile(r"[<`]")
_INLINE_END = re.compile(r"[`\n]")
_FENCE = "```"
_ANY = REASONING_TAGS


class _In(Enum):
    PLAIN = auto()
    REASONING = auto()
    FENCE = auto()
    CODE = auto()


class AnswerText:
    """Takes the pieces of one answer, and says what each adds to what is shown.

    What may still turn out to be reasoning, or white space at the end, waits. Where a piece shows that what was shown
    is none of the answer, that is to be forgotten: some chat templates open the reasoning in the prompt, so that only
    its end is seen.

    Args:
        thinks_first: the model is known for that: nothing is shown before its reasoning has ended.
    """

    def __init__(self, *, thinks_first: bool = False) -> None:
        self._in = _In.REASONING if thinks_first else _In.PLAIN
        self._closing = _ANY
        self._rest = ""
        """Not decided yet."""
        self._spaces = ""
        """At the end of what was shown, unless more follows."""
        self._shown: list[str] = []
        self._fresh: list[str] = []
        self._forget = False

    @property
    def has_shown(self) -> bool:
        """Whether anything is shown."""
        return bool(self._shown)

    @property
    def is_thinking(self) -> bool:
        """Whether all of it so far counts as reasoning."""
        return self._in is _In.REASONING and self._closing == _ANY

    def feed(self, piece: str) -> tuple[bool, str]:
        """Take a piece; returns whether to forget all that was shown, and the text to add."""
        self._rest += piece
        while self._step():
            pass
        forget, fresh = self._forget, "".join(self._fresh)
        self._forget = False
        self._fresh.clear()
        return forget, fresh

    def settle(self, text: str) -> tuple[bool, str]:
        """The whole answer is known: returns, as `feed` does, what makes it of what was shown."""
        shown = "".join(self._shown)
        self._shown = [text]
        return (False, text[len(shown) :]) if text.startswith(shown) else (True, text)

    def _step(self) -> bool:
        """Decide about the next part of the rest; whether there is more to decide about."""
        if self._in is _In.PLAIN:
            return self._plain()
        if self._in is _In.REASONING:
            return self._reasoning()
        return self._code()

    def _plain(self) -> bool:
        sign = _SIGN.search(self._rest)
        if sign is None:
            self._show(len(self._rest))
            return False
        self._show(sign.start())
        if self._rest[0] == "<":
            return self._angle()
        if self._rest in ("`", "``"):
            return False
        if self._rest.startswith(_FENCE):
            self._show(len(_FENCE))
            self._in = _In.FENCE
        else:
            self._in = _In.PLAIN if self._rest[1] == "`" else _In.CODE
            self._show(1)
        return True

    def _angle(self) -> bool:
        tag = _TAG.match(self._rest)
        if tag is None:
            if _may_be_tag(self._rest):
                return False
            self._show(1)
            return True
        self._rest = self._rest[tag.end() :]
        if tag["close"]:
            self._forget = self._forget or len(self._shown) > len(self._fresh)
            self._shown.clear()
            self._fresh.clear()
            self._spaces = ""
        else:
            self._in, self._closing = _In.REASONING, tag["tag"]
        return True

    def _reasoning(self) -> bool:
        end = re.search(f"</(?:{self._closing})>", self._rest, re.IGNORECASE)
        if end is None:
            self._rest = self._rest[1 - _LONGEST :]
            return False
        self._rest = self._rest[end.end() :]
        self._in = _In.PLAIN
        return True

    def _code(self) -> bool:
        """Within code nothing is a tag; but whether it is code shows only at its end."""
        end = _INLINE_END.search(self._rest) if self._in is _In.CODE else re.search(_FENCE, self._rest)
        if end is None:
            self._show(self._untagged())
            return False
        if end[0] != "\n":
            self._show(end.end())
        self._in = _In.PLAIN
        return True

    def _untagged(self) -> int:
        """How much of the rest is text whether it is code or not."""
        for sign in re.finditer("<", self._rest):
            if _TAG.match(self._rest, sign.start()) or _may_be_tag(self._rest[sign.start() :]):
                return sign.start()
        return len(self._rest.rstrip("`"))

    def _show(self, length: int) -> None:
        text, self._rest = self._rest[:length], self._rest[length:]
        text = self._spaces + text if self._shown else text.lstrip()
        visible = text.rstrip()
        self._spaces = text[len(visible) :]
        if visible:
            self._shown.append(visible)
            self._fresh.append(visible)


def _may_be_tag(text: str) -> bool:
    return len(text) < _LONGEST and any(tag.startswith(text.lower()) for tag in _TAGS)
