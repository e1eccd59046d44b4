"""What each row of the failure table tells the breaker, and with which the call fails."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.support.health import OLLAMA
from understudy.contracts.call import Reason
from workers.failures import BACKOFF_S, TABLE, Health, ProviderFailure, Same, row
from workers.verdicts import ALERT_OPEN_MS, PAUSE_MS, QUOTA_OPEN_MS, reason_of, verdict_of

QUEUES = ["ollama", "ollama.batch"]


def verdict(name: str, retry_after_s: float | None = None) -> dict[str, Any]:
    return verdict_of(ProviderFailure(row(name), retry_after_s=retry_after_s), OLLAMA)


HARD = [
    "refused", "dns", "tls", "connect_timeout", "reset", "no_first_byte", "stalled", "total_timeout", "cut",
    "server_error", "overloaded",
]  # fmt: skip
NOTHING = [
    "token_limit",
    "context_too_long",
    "no_tools",
    "bad_request",
    "content_filter",
    "refusal",
    "caller_deadline",
    "bug",
    "shutdown",
]


@pytest.mark.parametrize("name", HARD)
def test_a_provider_that_cannot_be_used_fails_hard_with_its_reason(name: str) -> None:
    told = verdict(name)
    assert (told["verdict"], told["why"], told["retry_after_ms"]) == ("hard", name, None)
    assert 0.8 <= told["jitter"] <= 1.2


def test_the_cooldowns_of_many_are_not_alike() -> None:
    assert len({verdict("refused")["jitter"] for _ in range(20)}) > 10


def test_a_hard_failure_that_names_a_time_keeps_the_breaker_open_until_then() -> None:
    assert verdict("overloaded", 12.5)["retry_after_ms"] == 12_500


PAUSES = [
    ("rate_limited_until", 7.0, 7_000),
    ("rate_limited_until", 0.4, 400),
    ("rate_limited_until", 0.0, 0),
    ("rate_limited", None, PAUSE_MS),
]


@pytest.mark.parametrize(("name", "retry_after_s", "pause_ms"), PAUSES)
def test_a_rate_limit_rests_both_queues_and_says_nothing_about_health(
    name: str, retry_after_s: float | None, pause_ms: int
) -> None:
    told = verdict(name, retry_after_s)
    assert told == {"verdict": "none", "why": name, "pause_ms": pause_ms, "queues": QUEUES}


def test_a_pause_without_a_time_is_over_when_the_one_who_met_it_asks_again() -> None:
    assert row("rate_limited").same is Same.ONCE_BACKOFF
    assert PAUSE_MS <= BACKOFF_S / 2 * 1000  # the shortest it waits


OPENS = [("quota", QUOTA_OPEN_MS), ("auth", ALERT_OPEN_MS), ("model_missing", ALERT_OPEN_MS)]


@pytest.mark.parametrize(("name", "open_ms"), OPENS)
def test_what_a_human_must_mend_opens_the_breaker_at_once(name: str, open_ms: int) -> None:
    told = verdict(name)
    assert (told["verdict"], told["why"], told["open_ms"]) == ("open", name, open_ms)


def test_a_model_that_was_not_loaded_in_time_is_left_to_the_prober() -> None:
    assert verdict("cold_start") == {"verdict": "open", "why": "cold_start"}


@pytest.mark.parametrize("name", ["empty", "not_json", "wrong_schema"])
def test_an_unusable_answer_counts_as_quality(name: str) -> None:
    assert verdict(name) == {"verdict": "quality"}


@pytest.mark.parametrize("name", NOTHING)
def test_what_is_not_the_providers_doing_counts_for_nothing(name: str) -> None:
    assert verdict(name, 9.0) == {"verdict": "none"}


def test_every_row_of_the_table_has_a_verdict() -> None:
    named = {*HARD, *NOTHING, *(name for name, _, _ in PAUSES), *(name for name, _ in OPENS)}
    assert named | {"cold_start", "empty", "not_json", "wrong_schema"} == {each.name for each in TABLE}


ENDS = {
    "bad_request": Reason.REJECTED,
    "content_filter": Reason.REJECTED,
    "refusal": Reason.REJECTED,
    "caller_deadline": Reason.DEADLINE,
    "bug": Reason.BUG,
}


@pytest.mark.parametrize("each", TABLE, ids=str)
def test_a_call_fails_with_a_row_only_where_no_other_provider_may_answer(each: Any) -> None:
    if each.name == "shutdown":
        return  # the call is handed back, never failed
    assert reason_of(each) == ENDS.get(each.name)


def test_a_row_that_is_new_is_judged_by_its_columns_alone() -> None:
    told = verdict_of(ProviderFailure(replace(row("bug"), name="new", health=Health.QUALITY)), OLLAMA)
    assert told == {"verdict": "quality"}
