"""How values are said in words, wherever people read them: spans of time, states, reasons."""

from __future__ import annotations

import unicodedata

WORDS = {
    # rows of the failure table, as they stand in attempts and breakers
    "refused": "connection refused",
    "dns": "its name cannot be resolved",
    "tls": "TLS failed",
    "connect_timeout": "no connection in time",
    "reset": "connection reset",
    "no_first_byte": "no first byte in time",
    "cold_start": "its model was not loaded in time",
    "stalled": "stalled in the middle",
    "total_timeout": "no answer in time",
    "cut": "cut off in the middle",
    "server_error": "server error",
    "rate_limited": "rate limited",
    "rate_limited_until": "rate limited",
    "quota": "its quota is used up",
    "auth": "its key was refused",
    "model_missing": "the model is missing",
    "context_too_long": "longer than its context window",
    "bad_request": "request refused",
    "content_filter": "content filter",
    "refusal": "the model refused",
    "empty": "empty answer",
    "not_json": "the answer was not JSON",
    "wrong_schema": "the answer broke its contract",
    "token_limit": "cut off at the token limit",
    "caller_deadline": "the call's time ran out",
    "bug": "a bug of ours",
    "shutdown": "the worker shut down",
    "worker_lost": "the worker died or stalled",
    "waited": "waited too long",
    "budget": "its budget is used up",
    "handed_back": "handed back at shutdown",
    "slow": "too slow",
    # why a call failed
    "deadline": "its time ran out",
    "no_provider": "every provider that was allowed to answer failed",
    "no_workers": "nobody consumed any queue it could run on",
    "rejected": "the provider rejected the request",
    "invalid": "the request breaks its contract",
    "quarantined": "its worker died three times",
    "cancelled": "it was given up",
    # a breaker's state
    "half_open": "half-open",
    # kinds
    "thread_naming": "thread naming",
    "agent_turn": "agent turn",
}

STANDINGS = {
    "free": "can take it",
    "no_workers": "no worker consumes its queue",
    "policy": "the call's policy does not allow it",
    "tried": "was tried in this round",
    "paused": "its queue is paused",
    "not_before": "has to be left alone for a while",
    "breaker_open": "its breaker is open",
    "breaker_half_open": "half-open, and others are trying it",
    "deferred": "not paid for before the deadline is near",
    "too_slow": "would hardly answer in time",
}
"""How a provider stands to a call, in the words of `routing.choose`."""


def words(name: str) -> str:
    """A state or reason in words; one that is not known here stays as it is."""
    return WORDS.get(name) or printable(name)


def standing(name: str) -> str:
    """How a provider stands to a call, in words."""
    return STANDINGS.get(name) or printable(name)


def span(ms: float) -> str:
    """A span of time, as exact as a reader needs it: `420 ms`, `4.2 s`, `12 s`, `2 min 5 s`, `1 h 3 min`."""
    ms = max(0, round(ms))
    if ms < 1000:
        return f"{ms} ms"
    if ms < 9_950:
        return f"{ms / 1000:.1f} s"
    seconds = round(ms / 1000)
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return _two(seconds, 60, "min", "s")
    minutes = round(seconds / 60)
    return _two(minutes, 60, "h", "min") if minutes < 1440 else _two(round(minutes / 60), 24, "d", "h")


def count(number: int, noun: str) -> str:
    """A number with its noun: `1 call`, `2 calls`."""
    return f"{number:,} {noun if number == 1 else noun + 's'}"


def printable(text: str, *, keep: str = "") -> str:
    """The text without what could steer a terminal; `keep` names control characters that may stay.

    A model's answer is not trusted: an escape sequence in it could rewrite what the reader sees.
    """
    return "".join(c if c in keep or unicodedata.category(c) not in ("Cc", "Cs") else "\ufffd" for c in text)


def _two(number: int, base: int, large: str, small: str) -> str:
    whole, rest = divmod(number, base)
    return f"{whole} {large} {rest} {small}" if rest else f"{whole} {large}"
