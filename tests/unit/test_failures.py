"""The failure table, row by row, and the statuses that lead to it."""

from __future__ import annotations

import pickle

import pytest

from workers.failures import ROWS, TABLE, Billed, Health, Next, ProviderFailure, Row, Same, row, row_of_status

SPECIFICATION = [
    # name, same, next, health
    ("refused", "no", "any", "hard"),
    ("dns", "no", "any", "hard"),
    ("tls", "no", "any", "hard"),
    ("connect_timeout", "no", "any", "hard"),
    ("reset", "once", "any", "hard"),
    ("no_first_byte", "no", "any", "hard"),
    ("cold_start", "no", "any", "open"),
    ("stalled", "no", "any", "hard"),
    ("total_timeout", "no", "any", "hard"),
    ("cut", "no", "any", "hard"),
    ("server_error", "once", "any", "hard"),
    ("overloaded", "once_backoff", "any", "hard"),
    ("rate_limited_until", "wait_retry_after", "any", "pause"),
    ("rate_limited", "once_backoff", "any", "pause"),
    ("quota", "no", "free_only", "open_15_min"),
    ("auth", "no", "any", "open_alert"),
    ("model_missing", "no", "any", "open_alert"),
    ("context_too_long", "no", "larger_window", "none"),
    ("no_tools", "no", "any", "none"),
    ("bad_request", "no", "none", "none"),
    ("content_filter", "no", "none", "none"),
    ("refusal", "no", "none", "none"),
    ("empty", "reask", "any", "quality"),
    ("not_json", "reask", "any", "quality"),
    ("wrong_schema", "reask", "any", "quality"),
    ("token_limit", "raise_limit", "any", "none"),
    ("caller_deadline", "no", "none", "none"),
    ("bug", "no", "none", "none"),
    ("shutdown", "no", "none", "none"),
]

STATUSES = [
    # status, codes, message, retry_after_s, row
    (500, (), "", None, "server_error"),
    (501, (), "", None, "server_error"),
    (408, (), "", None, "server_error"),
    (502, (), "", 5.0, "server_error"),
    (504, (), "", None, "server_error"),
    (503, (), "", None, "overloaded"),
    (529, ("overloaded_error",), "", None, "overloaded"),
    (429, ("rate_limit_exceeded",), "", None, "rate_limited"),
    (429, ("rate_limit_exceeded",), "", 0.0, "rate_limited_until"),
    (429, ("insufficient_quota",), "", 3.0, "quota"),
    (429, ("429", "insufficient_quota"), "", None, "quota"),
    (402, (), "", None, "quota"),
    (401, ("invalid_api_key",), "", None, "auth"),
    (403, (), "", None, "auth"),
    (407, (), "", None, "auth"),
    (404, ("model_not_found",), "", None, "model_missing"),
    (405, (), "", None, "model_missing"),
    (410, (), "", None, "model_missing"),
    (302, (), "", None, "model_missing"),
    (400, ("context_length_exceeded",), "", None, "context_too_long"),
    (400, ("exceed_context_size_error",), "", None, "context_too_long"),
    (400, (), "the input length exceeds the context length", None, "context_too_long"),
    (400, (), "This model's maximum context length is 4096 tokens.", None, "context_too_long"),
    (413, (), "Prompt is too long", None, "context_too_long"),
    (400, ("content_filter",), "", None, "content_filter"),
    (400, ("invalid_request_error",), "", None, "bad_request"),
    (422, (), "", None, "bad_request"),
    (409, (), "", None, "bad_request"),
    (418, (), "", None, "bad_request"),
]


@pytest.mark.parametrize(("name", "same", "next_", "health"), SPECIFICATION)
def test_a_row_means_what_the_design_says(name: str, same: str, next_: str, health: str) -> None:
    each = row(name)
    assert (each.name, each.same, each.next, each.health) == (name, Same(same), Next(next_), Health(health))


def test_the_table_has_these_rows_and_no_others() -> None:
    assert [each.name for each in TABLE] == [case[0] for case in SPECIFICATION]
    assert list(ROWS) == [each.name for each in TABLE]


@pytest.mark.parametrize(("status", "codes", "message", "retry_after_s", "name"), STATUSES)
def test_a_status_leads_to_its_row(
    status: int, codes: tuple[str, ...], message: str, retry_after_s: float | None, name: str
) -> None:
    assert row_of_status(status, codes, message, retry_after_s=retry_after_s).name == name


@pytest.mark.parametrize("each", TABLE, ids=str)
def test_only_what_never_reached_a_model_is_certainly_not_billed(each: Row) -> None:
    unbilled = {
        "refused", "dns", "tls", "connect_timeout", "overloaded", "rate_limited_until", "rate_limited", "quota", "auth",
        "model_missing", "context_too_long", "no_tools", "bad_request",
    }  # fmt: skip
    assert (each.billed is Billed.NO) == (each.name in unbilled)


@pytest.mark.parametrize("each", TABLE, ids=str)
def test_a_wait_before_asking_again_has_a_limit_of_at_most_two_seconds(each: Row) -> None:
    assert 0 <= each.max_delay_s <= 2
    assert (each.max_delay_s > 0) == (each.same is Same.ONCE_BACKOFF or each.name == "server_error")


def test_a_row_is_final_where_nobody_is_asked_again() -> None:
    assert {each.name for each in TABLE if each.final} == {
        "bad_request", "content_filter", "refusal", "caller_deadline", "bug", "shutdown",
    }  # fmt: skip


def test_a_failure_reads_as_its_row_and_detail_and_takes_its_rows_billing() -> None:
    failure = ProviderFailure(row("auth"), "HTTP 401", status=401)
    assert (str(failure), failure.billed, failure.requests) == ("auth: HTTP 401", Billed.NO, 1)
    assert str(ProviderFailure(row("cut"))) == "cut"
    assert ProviderFailure(row("cut"), billed=Billed.NO).billed is Billed.NO


def test_a_row_survives_pickling() -> None:
    assert pickle.loads(pickle.dumps(row("cut"))) == row("cut")
