"""What a stand-in answers: simple rules, good enough to show the way of a call."""

from __future__ import annotations

import itertools
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from workers.stand_in.fate import Answer, Fate
from workers.stand_in.tool_talk import calls_of

if TYPE_CHECKING:
    from workers.stand_in.ask import Ask

REFUSAL: Final = "(stand-in) I cannot help with that."
PROSE: Final = (
    "(stand-in) I would rather say it in words than in the form that was asked for, and I take my time to do so: "
    "whoever reads this will find neither a verdict nor a name in it, however long they look, because there is none."
)
WRONG_SCHEMA: Final = json.dumps({"stand_in": True, "unexpected": ["another", "shape"]})

_LINK: Final = re.compile(r"https?://|www\.|\bt\.me/|\b\w+\.(?:com|net|org|info|biz|co\.uk)\b", re.IGNORECASE)
_NUMBER: Final = re.compile(r"(?<!\d)(?:\+?\d[\d ()-]{6,}\d|\d{5,6})(?!\d)")
_PRICE: Final = re.compile(r"[£$€]\s?\d|\b\d+\s?(?:p|ppm|usd|eur)\b|\b\d+%\s?(?:off|profit)", re.IGNORECASE)
_LURE: Final = re.compile(
    r"\b(?:free|win|winner|won|prize|award(?:ed)?|claim|cash|urgent|guaranteed|selected|bonus|offer|ringtones?|txt|"
    r"text \w+ to|subscri\w+|unsubscribe|stop to|reply yes|call now|click|crypto|casino|loan|earn|discount|credit|"
    r"voucher|congrat\w*|mobile|camcorder|poly\w*|nokia|landline|per (?:week|wk|min)|adult|sexy|dating|xxx|18\+)\b",
    re.IGNORECASE,
)
_ABUSE: Final = re.compile(
    r"\b(?:idiots?|morons?|stupid|shut up|hate you|kill (?:you|yourself)|fuck\w*|bitch\w*|bastards?|assholes?|"
    r"scum|loser)\b",
    re.IGNORECASE,
)
_WORD: Final = re.compile(r"\w[\w'\u2019-]*|[^\s\w]+")
_INSIGNIFICANT: Final = frozenset(
    (  # noqa: SIM905 (a list of fifty quoted words reads worse)
        "a an and are as at be but can could do does for from have hello hey hi how i i'm in is it me my of on or our "
        "please so that the there this to was we what when where which who why will with would you your"
    ).split()
)
# As a tokenizer does: a space belongs to the word after it.
_TOKEN: Final = re.compile(r"\s*\S{1,6}|\s+$")


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer, before it is written on a wire."""

    tokens: tuple[str, ...]
    finish_reason: str = "stop"
    refusal: bool = False
    """The tokens are a refusal, not content."""
    tool_calls: tuple[dict[str, Any], ...] = ()

    @property
    def text(self) -> str:
        """All of it."""
        return "".join(self.tokens)


def reply_to(ask: Ask, fate: Fate) -> Reply:
    """The answer that this fate gives to this request."""
    if calls := calls_of(ask.talk, fate, ask.newest):
        stops = fate.tool_style == "whole_stop"
        return Reply(tokens_of(fate.tool_text or ""), "stop" if stops else "tool_calls", tool_calls=tuple(calls))
    text, finish_reason, refusal = good_text(ask), "stop", False
    match Answer(fate.answer):
        case Answer.GOOD | Answer.LENGTH:
            pass
        case Answer.WRONG_SCHEMA:
            text = WRONG_SCHEMA
        case Answer.NOT_JSON:
            text = PROSE
        case Answer.FENCED:
            text = f"Here is what I found (stand-in):\n\n```json\n{text}\n```\n\nI hope that helps."
        case Answer.EMPTY:
            text = ""
        case Answer.REFUSAL:
            text, refusal = REFUSAL, True
        case Answer.CONTENT_FILTER:
            text, finish_reason = "", "content_filter"
    tokens = tokens_of(text)
    if fate.tokens is not None and ask.kind == "text" and fate.answer in (Answer.GOOD, Answer.LENGTH):
        tokens = filled_up(tokens, fate.tokens)
    most = ask.max_tokens
    if fate.answer == Answer.LENGTH and (fate.needs_tokens is None or most is None or most < fate.needs_tokens):
        most = min(len(tokens) // 2, len(tokens) if most is None else most)
    if most is not None and most < len(tokens):
        tokens, finish_reason = tokens[:most], "length"
    return Reply(tokens, finish_reason, refusal)


def tokens_of(text: str) -> tuple[str, ...]:
    """Pieces of up to six characters, which joined are the text again."""
    return tuple(_TOKEN.findall(text))


def filled_up(tokens: tuple[str, ...], count: int) -> tuple[str, ...]:
    """These tokens and numbered lines of ten words, whose every word is one token."""
    more = (f"\nLine {n // 10 + 1}:" if n % 10 == 0 else f" word{n % 10}" for n in itertools.count())
    pieces = (token for words in more for token in tokens_of(words))
    return (*tokens, *itertools.islice(pieces, max(0, count - len(tokens))))


def good_text(ask: Ask) -> str:
    """The answer of a stand-in in good health."""
    if ask.kind == "moderation":
        return json.dumps(verdict(ask.subject), ensure_ascii=False)
    if ask.kind == "thread_naming":
        return json.dumps({"name": thread_name(ask.subject, ask.longest_name)}, ensure_ascii=False)
    words = len(ask.subject.split())
    counted = f"{words} {'word' if words == 1 else 'words'}"
    if ask.talk.results:
        return "(stand-in) The tools said: " + "; ".join(ask.talk.results)
    before = f" after {ask.messages - 1} earlier ones" if ask.messages > 1 else ""
    return (
        f"(stand-in) No model read this: I am a stand-in that answers in the place of {ask.model}. "
        f"Your message of {counted} arrived{before}; this is where its answer would be."
    )


def verdict(text: str) -> dict[str, Any]:
    """Judge a message by the words, links, numbers and prices in it; the keys are those of a moderation result."""
    abuse = _ABUSE.search(text)
    lures = len({found.lower() for found in _LURE.findall(text)})
    signs = min(lures, 3) + 2 * bool(_LINK.search(text)) + bool(_NUMBER.search(text)) + bool(_PRICE.search(text))
    words = len(text.split())
    if abuse:
        violation, action, score, because = "toxic", "warn", 2, "it holds abusive words"
    elif signs >= 3:
        violation, action, score, because = "spam", "delete", 1, "links, numbers and lures in it look like advertising"
    else:
        violation, action, score = None, "none", min(8, 3 + words // 4)
        because = "nothing in it looks like spam or abuse"
    return {
        "helpful": violation is None and words >= 4,
        "violation": violation,
        "quality_score": score,
        "action": action,
        "reason": f"By a stand-in's simple rules, {because}.",
    }


def thread_name(text: str, longest: int) -> str:
    """A name from the first significant words, in their own casing, at most `longest` characters."""
    words = [word for word in _WORD.findall(text) if word[0].isalnum()]
    picked = [word for word in words if word.lower() not in _INSIGNIFICANT] or words or text.split()
    name = ""
    for word in picked:
        longer = f"{name} {word}" if name else word[:longest]
        if len(longer) > longest:
            break
        name = longer
    return name[:1].upper() + name[1:] if len(name) >= 3 else "New thread"[:longest]
