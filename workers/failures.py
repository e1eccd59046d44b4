"""What each failure means: a row says whether to try again, where next, and what it does to the provider's health.

`row(name)` finds one; `Row` explains its columns. Reading what a provider really did into a row is the matter of
`workers.chat`, acting on it that of the attempt.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

JITTER_S = 1.0
"""The longest wait before the second request after a 500, 502 or 504."""

BACKOFF_S = 2.0
"""The longest wait before the second request after a 503, 529 or a 429 that names no time."""


class Same(StrEnum):
    """Whether the same provider is asked again within the attempt."""

    NO = "no"
    ONCE = "once"
    """After a random wait of at most `Row.max_delay_s`; 0 is at once."""
    ONCE_BACKOFF = "once_backoff"
    """After at least half of `Row.max_delay_s`, the rest at random."""
    WAIT_RETRY_AFTER = "wait_retry_after"
    """After the time the provider named, where the deadline and the cost of the next provider say so."""
    REASK = "reask"
    """Once, with the fault of the answer quoted."""
    RAISE_LIMIT = "raise_limit"
    """Once, with a higher token limit."""


class Next(StrEnum):
    """Which provider comes after this one."""

    ANY = "any"
    FREE_ONLY = "free_only"
    LARGER_WINDOW = "larger_window"
    """Only one whose context window is larger than this provider's."""
    NONE = "none"


class Health(StrEnum):
    """What the breaker is told."""

    HARD = "hard"
    NONE = "none"
    """Nothing about health; a permit is given back all the same."""
    PAUSE = "pause"
    """The provider works; its queue rests until the time it named, or for a backoff."""
    OPEN = "open"
    """Open at once, for a prober alone to wait for."""
    OPEN_15_MIN = "open_15_min"
    """Open at once for 15 minutes, and raise an alert."""
    OPEN_ALERT = "open_alert"
    """Open at once, and raise an alert: a human must mend it."""
    QUALITY = "quality"
    """Counted as an unusable answer, not as a failure."""


class Billed(StrEnum):
    """Whether a paid provider can have charged for it."""

    NO = "certainly_not"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Row:
    """One row of the failure table.

    Args:
        name: as it stands in `Attempt.what`.
        same, next, health: what follows; see their classes.
        billed: settles a reservation at 0 only where it is certain.
        max_delay_s: the longest wait before the same provider is asked again.
    """

    name: str
    same: Same
    next: Next
    health: Health
    billed: Billed
    max_delay_s: float = 0.0

    @property
    def final(self) -> bool:
        """The call ends with it: no provider would do better."""
        return self.next is Next.NONE and self.same is Same.NO

    def __str__(self) -> str:
        return self.name


_HARD = (Same.NO, Next.ANY, Health.HARD)

TABLE: tuple[Row, ...] = (
    # Never reached the provider.
    Row("refused", *_HARD, Billed.NO),
    Row("dns", *_HARD, Billed.NO),
    Row("tls", *_HARD, Billed.NO),
    Row("connect_timeout", *_HARD, Billed.NO),
    # Reached it, and no answer came: it may have worked on it, so it may have charged.
    Row("reset", Same.ONCE, Next.ANY, Health.HARD, Billed.UNKNOWN),
    Row("no_first_byte", *_HARD, Billed.UNKNOWN),
    Row("cold_start", Same.NO, Next.ANY, Health.OPEN, Billed.UNKNOWN),
    Row("stalled", *_HARD, Billed.UNKNOWN),
    Row("total_timeout", *_HARD, Billed.UNKNOWN),
    Row("cut", *_HARD, Billed.UNKNOWN),
    # An answer of another kind.
    Row("server_error", Same.ONCE, Next.ANY, Health.HARD, Billed.UNKNOWN, JITTER_S),
    Row("overloaded", Same.ONCE_BACKOFF, Next.ANY, Health.HARD, Billed.NO, BACKOFF_S),
    Row("rate_limited_until", Same.WAIT_RETRY_AFTER, Next.ANY, Health.PAUSE, Billed.NO),
    Row("rate_limited", Same.ONCE_BACKOFF, Next.ANY, Health.PAUSE, Billed.NO, BACKOFF_S),
    Row("quota", Same.NO, Next.FREE_ONLY, Health.OPEN_15_MIN, Billed.NO),
    Row("auth", Same.NO, Next.ANY, Health.OPEN_ALERT, Billed.NO),
    Row("model_missing", Same.NO, Next.ANY, Health.OPEN_ALERT, Billed.NO),
    Row("context_too_long", Same.NO, Next.LARGER_WINDOW, Health.NONE, Billed.NO),
    Row("no_tools", Same.NO, Next.ANY, Health.NONE, Billed.NO),
    Row("bad_request", Same.NO, Next.NONE, Health.NONE, Billed.NO),
    # An answer, but not one to give.
    Row("content_filter", Same.NO, Next.NONE, Health.NONE, Billed.UNKNOWN),
    Row("refusal", Same.NO, Next.NONE, Health.NONE, Billed.UNKNOWN),
    Row("empty", Same.REASK, Next.ANY, Health.QUALITY, Billed.UNKNOWN),
    Row("not_json", Same.REASK, Next.ANY, Health.QUALITY, Billed.UNKNOWN),
    Row("wrong_schema", Same.REASK, Next.ANY, Health.QUALITY, Billed.UNKNOWN),
    Row("token_limit", Same.RAISE_LIMIT, Next.ANY, Health.NONE, Billed.UNKNOWN),
    # Our own doing.
    Row("caller_deadline", Same.NO, Next.NONE, Health.NONE, Billed.UNKNOWN),
    Row("bug", Same.NO, Next.NONE, Health.NONE, Billed.UNKNOWN),
    Row("shutdown", Same.NO, Next.NONE, Health.NONE, Billed.UNKNOWN),
)

ROWS: dict[str, Row] = {each.name: each for each in TABLE}


def row(name: str) -> Row:
    """The row of that name; KeyError where there is none."""
    return ROWS[name]


class ProviderFailure(Exception):
    """A provider did not give an answer.

    Args:
        row: what it means.
        detail: what happened in a few words, from statuses, codes and limits alone: never what the provider wrote, for
            it may quote the prompt.
        retry_after_s: how long the provider asked to be left alone, in seconds.
        status: the HTTP status, where there was one.
        partial: some text had arrived, and may have been shown.
        requests: how many HTTP requests were really sent.
        billed: None takes the row's.
    """

    def __init__(
        self,
        row: Row,
        detail: str = "",
        *,
        retry_after_s: float | None = None,
        status: int | None = None,
        partial: bool = False,
        requests: int = 1,
        billed: Billed | None = None,
    ) -> None:
        super().__init__(row.name, detail)
        self.row = row
        self.detail = detail
        self.retry_after_s = retry_after_s
        self.status = status
        self.partial = partial
        self.requests = requests
        self.billed = row.billed if billed is None else billed

    def __str__(self) -> str:
        return f"{self.row.name}: {self.detail}" if self.detail else self.row.name


_BY_STATUS = {
    401: "auth",
    402: "quota",
    403: "auth",
    404: "model_missing",
    # The address answers and is not the API: as with 404, another provider serves the call and a human mends this one.
    405: "model_missing",
    407: "auth",
    410: "model_missing",
    503: "overloaded",
    529: "overloaded",
}
_QUOTA_CODES = frozenset({"insufficient_quota", "billing_hard_limit_reached", "billing_not_active"})
_CONTEXT_CODES = frozenset({"context_length_exceeded", "exceed_context_size_error", "string_above_max_length"})
_CONTEXT_WORDS = (
    "context length",
    "context window",
    "context size",
    "context_length",
    "too many tokens",
    "prompt is too long",
    "input length exceeds",
)
_FILTER_CODES = frozenset({"content_filter", "content_policy_violation", "moderation_blocked"})


def row_of_status(status: int, codes: tuple[str, ...], message: str, *, retry_after_s: float | None) -> Row:
    """The row of an HTTP status.

    Args:
        status: of the response.
        codes: the error's `code` and `type`, those that it has.
        message: what the provider wrote; only searched for how servers without codes say that a prompt is too long.
        retry_after_s: from the headers.
    """
    said = {code.lower() for code in codes}
    if status == 429:
        if said & _QUOTA_CODES:
            return row("quota")
        return row("rate_limited" if retry_after_s is None else "rate_limited_until")
    if status in _BY_STATUS:
        return row(_BY_STATUS[status])
    if status < 400:
        return row("model_missing")
    if status >= 500 or status == 408:
        return row("server_error")
    if said & _CONTEXT_CODES or (
        status in (400, 413, 422) and any(words in message.lower() for words in _CONTEXT_WORDS)
    ):
        return row("context_too_long")
    return row("content_filter" if said & _FILTER_CODES else "bad_request")
