"""The fate of a stand-in: what goes wrong with the requests it gets."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final

from workers.stand_in.checks import HOUR_MS, flag, latency, number, one_of, text, whole

DAY_S: Final = 86_400

# Ollama unloads a model that nobody used for five minutes.
DEFAULT_COLD_IDLE_MS: Final = 300_000

CODES: Final = MappingProxyType(
    {
        "insufficient_quota": 429,
        "rate_limit_exceeded": 429,
        "model_not_found": 404,
        "context_length_exceeded": 400,
        "content_filter": 400,
        "invalid_api_key": 401,
    }
)
"""Error codes of the OpenAI API and the status each comes with; another code needs a `status`."""


class FateError(ValueError):
    """A fate that cannot be: one sentence naming the field and what is allowed."""


class Answer(StrEnum):
    """What a completed answer is like."""

    GOOD = "good"
    WRONG_SCHEMA = "wrong_schema"
    """Valid JSON of another shape."""
    NOT_JSON = "not_json"
    """Prose where JSON was asked for."""
    FENCED = "fenced"
    """The good answer in a code fence with prose around it."""
    EMPTY = "empty"
    LENGTH = "length"
    """Cut off at the token limit; with `needs_tokens`, good once the request's limit reaches it."""
    REFUSAL = "refusal"
    """`message.refusal` instead of content."""
    CONTENT_FILTER = "content_filter"
    """Ended by the provider's filter, with that finish reason and no content."""


def _answer(value: object) -> Answer:
    try:
        return Answer(str(value))
    except ValueError:
        raise ValueError(f"must be one of {', '.join(Answer)}") from None


_tokens = whole(0, 1_000_000)

_CHECKS: Final[Mapping[str, Callable[[object], object]]] = MappingProxyType(
    {
        "latency_ms": latency,
        "cold_ms": whole(0, HOUR_MS),
        "cold_idle_ms": whole(0, HOUR_MS),
        "refuse": flag,
        "reset": flag,
        "silence": flag,
        "status": whole(400, 599),
        "code": text,
        "retry_after": number(0, DAY_S),
        "model_missing": flag,
        "answer": _answer,
        "needs_tokens": _tokens,
        "tokens": _tokens,
        "tool_rounds": whole(0, 1_000),
        "tool_names": text,
        "tool_arguments": text,
        "tool_text": text,
        "tool_style": one_of("split", "whole", "whole_stop"),
        "no_tools": flag,
        "after_rounds": whole(0, 1_000),
        "drip_ms": whole(0, HOUR_MS),
        "stall_after": _tokens,
        "cut_after": _tokens,
        "malformed_after": _tokens,
        "no_done": flag,
        "no_usage": flag,
        "times": whole(1, 1_000_000),
        "share": number(0, 1),
        "seed": whole(0, 2**32 - 1),
        "when": text,
    }
)


@dataclass(frozen=True, slots=True)
class Fate:
    """What happens to requests; without arguments, nothing bad.

    Times are in milliseconds, `retry_after` is in seconds. A token is up to six characters of a streamed answer;
    in an answer sent whole, four bytes of its body count as one.

    Raises:
        FateError: a value is out of range, or two fates cannot both happen.
    """

    latency_ms: int | tuple[int, int] = 0
    """Silence before anything else happens; a pair is a range, drawn anew for each request."""
    cold_ms: int = 0
    """The model loads this long, first of all and again after `cold_idle_ms` without a call; all calls wait for it. If
    the call leaves for which it is loaded, the next one begins anew."""
    cold_idle_ms: int = DEFAULT_COLD_IDLE_MS
    refuse: bool = False
    """Nobody listens on the port, and every open connection is dropped."""
    reset: bool = False
    """The request is read, then the connection is reset."""
    silence: bool = False
    """The request is read and never answered."""
    status: int | None = None
    """An error status; implied by a code that `CODES` knows."""
    code: str | None = None
    """The `code` of the OpenAI-style error body."""
    retry_after: float | None = None
    model_missing: bool = False
    """The model is in no list, and asking it is a 404."""
    answer: Answer | str = Answer.GOOD
    needs_tokens: int | None = None
    """With `answer=length`: the token limit from which on the answer is complete."""
    tokens: int | None = None
    """An answer in text is filled up with numbered lines to this many tokens."""
    tool_rounds: int = 1
    """How often tools are called before the answer, where a request offers any."""
    tool_names: str | None = None
    """Separated by commas; without it, those the user names, or the first."""
    tool_arguments: str = "good"
    """`good`, `bad` (of another schema), `broken` (no JSON), or the JSON itself."""
    tool_text: str | None = None
    """Said before tools are called."""
    tool_style: str = "split"
    """`split`: arguments come in pieces; `whole`: in one, as from Ollama; `whole_stop`: with finish reason `stop`."""
    no_tools: bool = False
    """A request that offers tools is a 400."""
    after_rounds: int = 0
    """All goes well until tools were called so often."""
    drip_ms: int = 0
    """Between two tokens of a stream, or two bytes of an answer sent whole."""
    stall_after: int | None = None
    """This many tokens are sent, then nothing more; the connection stays open."""
    cut_after: int | None = None
    """This many tokens are sent, then the connection is closed."""
    malformed_after: int | None = None
    """This many tokens are sent, then broken JSON."""
    no_done: bool = False
    """A stream ends without `[DONE]`."""
    no_usage: bool = False
    times: int | None = None
    """Only the next so many calls meet this fate."""
    share: float = 1.0
    """The part of the calls that meet this fate, drawn with `seed`."""
    seed: int | None = None
    """Of `share` and of a latency range; by default the stand-in's own."""
    when: str | None = None
    """Only calls whose newest user message, or the framed text in it, contains this text meet this fate."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if value is None and field.default is None:
                continue
            try:
                object.__setattr__(self, field.name, _CHECKS[field.name](value))
            except ValueError as error:
                raise FateError(f"fate {field.name} {error}, not {value!r}") from None
        if self.status is None and self.code is not None and self.code in CODES:
            object.__setattr__(self, "status", CODES[self.code])
        self._check_together()

    def _check_together(self) -> None:
        if self.code is not None and self.status is None:
            raise FateError(f"fate code needs a status, except for {', '.join(CODES)}")
        if self.retry_after is not None and self.status is None:
            raise FateError("fate retry_after needs a status or a code")
        if self.needs_tokens is not None and self.answer != Answer.LENGTH:
            raise FateError("fate needs_tokens needs answer=length")
        ends = {"refuse": self.refuse, "reset": self.reset, "silence": self.silence, "status": self.status is not None}
        ends |= {"model_missing": self.model_missing}
        if sum(ends.values()) > 1:
            raise FateError(f"fates {', '.join(ends)} exclude each other")
        if sum(after is not None for after in (self.stall_after, self.cut_after, self.malformed_after)) > 1:
            raise FateError("fates stall_after, cut_after, malformed_after exclude each other")
        if self.refuse and self.limited:
            raise FateError("fate refuse goes with none of times, share, when: a refused connection brings no call")

    @property
    def limited(self) -> bool:
        """Whether only some calls meet this fate."""
        return self.times is not None or self.share < 1 or self.when is not None

    def spared(self) -> Fate:
        """The same where all goes well: it is only told which tools to call, and how."""
        return Fate(**{name: getattr(self, name) for name in _CHECKS if name.startswith("tool_")})

    @classmethod
    def parse(cls, pairs: Iterable[str]) -> Fate:
        """Read `key=value` strings; a switch may stand alone, as in `refuse`.

        Raises:
            FateError: a key is unknown or given twice, or a value is not allowed.
        """
        read: dict[str, str] = {}
        for pair in pairs:
            key, equals, value = pair.partition("=")
            if key in read:
                raise FateError(f"fate {key} is given twice")
            read[key] = value if equals else "true"
        return cls.from_json(read)

    @classmethod
    def from_json(cls, data: object) -> Fate:
        """Read a JSON object with the fields of a fate; those left out keep their defaults.

        Raises:
            FateError: it is no object, a key is unknown, or a value is not allowed.
        """
        if not isinstance(data, Mapping):
            raise FateError('a fate must be a JSON object such as {"status": 503}')
        for key in data:
            if key not in _CHECKS:
                raise FateError(f"fate {key!r} is unknown; known are {', '.join(_CHECKS)}")
        return cls(**data)

    def to_json(self) -> dict[str, Any]:
        """All fields as JSON values; `from_json` reads it back."""
        return asdict(self)

    def to_pairs(self) -> list[str]:
        """The fields that differ from their defaults as `key=value` strings; `parse` reads them back."""
        said = {field.name: getattr(self, field.name) for field in fields(self)}
        said = {key: value for key, value in said.items() if value != getattr(_DEFAULT, key)}
        return [
            f"{key}={'-'.join(map(str, value)) if isinstance(value, tuple) else value}" for key, value in said.items()
        ]


_DEFAULT: Final = Fate()
