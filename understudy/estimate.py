"""What calls would cost on a paid provider, told before any is made."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from understudy.contracts.call import Usage
from understudy.pricing import Price, cost_microusd, max_cost_microusd
from understudy.tokens import estimate_tokens, upper_bound_tokens

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pydantic import BaseModel

REPEATED_LIMIT = 4
"""An answer that was cut off at the token limit is asked for once more, with so many times the limit."""

QUOTED_BYTES = 10_000
"""At most what the second question quotes of an unusable answer, and what it says of it."""

_MARKS = re.compile(r"[<>\[\]\\\x7f]")
_WIDE = re.compile(rb"[\x80-\xff]")


@dataclass(frozen=True)
class Frame:
    """What a kind sends and gets beside the request itself.

    Args:
        bytes, tokens: of the prompt without the request: at most, and a fair guess.
        max_tokens: the limit of its answers; None where the request or the settings say.
        answer_tokens: of a usual answer.
        escapes: whether characters of the request may stand in the prompt as escapes, which are longer.
    """

    bytes: int
    tokens: int
    max_tokens: int | None
    answer_tokens: int
    escapes: bool


FRAMES = {
    "moderation": Frame(2_250, 640, 1_024, 100, escapes=True),
    "thread_naming": Frame(830, 250, 512, 20, escapes=True),
    "agent_turn": Frame(80, 15, None, 300, escapes=False),
}
"""By kind, measured on the prompts that workers build; a test holds them to it."""


@dataclass(frozen=True)
class Estimate:
    """What a number of calls would cost, in micro-dollars, if a paid provider answered them all.

    Args:
        likely: with answers of the usual length.
        most: where each answer takes its whole token limit and no token is longer than a byte: what is reserved.
        repeated: the same where each answer is unusable, too, and asked for once more.
    """

    calls: int = 0
    likely: int = 0
    most: int = 0
    repeated: int = 0

    def plus(self, other: Estimate) -> Estimate:
        """Both together."""
        return Estimate(
            self.calls + other.calls, self.likely + other.likely, self.most + other.most, self.repeated + other.repeated
        )


def estimate_of(kind: str, request: BaseModel, price: Price, *, paid_max_tokens: int) -> Estimate:
    """What one call would cost.

    Args:
        paid_max_tokens: the token limit of a paid answer where neither the kind nor the request has one.
    """
    frame, text = FRAMES[kind], request.model_dump_json(exclude_defaults=True)
    limit = _limit(kind, request, paid_max_tokens)
    usage = Usage(prompt_tokens=frame.tokens + estimate_tokens(text), completion_tokens=min(limit, frame.answer_tokens))
    return Estimate(1, cost_microusd(price, usage), *_most(price, _size(frame, text), limit))


def most_with_repeat(kind: str, request: BaseModel, prices: Sequence[Price], *, paid_max_tokens: int) -> int:
    """The dearest of what one call costs at most at these prices, in micro-dollars: the `repeated` of its estimate."""
    size = _size(FRAMES[kind], request.model_dump_json(exclude_defaults=True))
    limit = _limit(kind, request, paid_max_tokens)
    return max(_most(price, size, limit)[1] for price in prices)


def _most(price: Price, size: int, limit: int) -> tuple[int, int]:
    """At most for one answer, and for one that is asked for once more."""
    most = max_cost_microusd(price, size, limit)
    return most, most + max_cost_microusd(price, size + QUOTED_BYTES, REPEATED_LIMIT * limit)


def _limit(kind: str, request: BaseModel, paid_max_tokens: int) -> int:
    return getattr(request, "max_tokens", None) or FRAMES[kind].max_tokens or paid_max_tokens


def _size(frame: Frame, text: str) -> int:
    """A bound for the prompt of a request with this text, as the ledger counts it when it reserves."""
    size = frame.bytes + upper_bound_tokens(text)
    if not frame.escapes:
        return size
    marks, wide = len(_MARKS.findall(text)), len(_WIDE.findall(text.encode("utf-8", "surrogatepass")))
    return size + 5 * marks + 2 * wide
