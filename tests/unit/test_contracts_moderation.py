"""What a moderation request takes, and which verdicts never get out."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from understudy.contracts.moderation import (
    DEFAULT_RULES,
    Action,
    ModerationRequest,
    ModerationResult,
    Violation,
    needs_review,
)

CLEAN: dict[str, Any] = {
    "helpful": True,
    "violation": None,
    "quality_score": 7,
    "action": "none",
    "reason": "A fair question.",
}


def test_everything_but_the_text_may_be_left_out_or_blank() -> None:
    assert ModerationRequest(text="a").rules == DEFAULT_RULES
    blank = ModerationRequest(text="a", rules=" \n", author="", chat_title=" ", reply_to="", chat_id="")
    assert blank == ModerationRequest(text="a")


def test_ids_may_be_numbers_and_names_become_one_line() -> None:
    request = ModerationRequest.model_validate({"text": " a ", "chat_id": -1001234567890, "author": " Ann\n\x00 Lee "})
    assert (request.text, request.chat_id, request.author) == (" a ", "-1001234567890", "Ann Lee")


@pytest.mark.parametrize("length", [1, 8_000])
def test_a_text_may_have_1_to_8000_characters(length: int) -> None:
    assert len(ModerationRequest(text="é" * length).text) == length


@pytest.mark.parametrize(
    ("violation", "action"),
    [(None, "none"), ("spam", "delete"), ("toxic", "warn"), ("off_topic", "none"), ("other", "warn")],
)
def test_a_verdict_survives_json_and_reads_as_plain_text(violation: str | None, action: str) -> None:
    verdict = ModerationResult.model_validate(CLEAN | {"violation": violation, "action": action})
    assert (verdict.violation, verdict.action) == (violation, action)
    assert ModerationResult.model_validate_json(verdict.model_dump_json()) == verdict


@pytest.mark.parametrize(
    "wrong",
    [
        {"action": "delete"},
        {"action": "warn"},
        {"action": "ban", "violation": "spam"},
        {"violation": "none"},
        {"violation": ""},
        {"violation": "nudity"},
        {"quality_score": -1},
        {"quality_score": 11},
        {"quality_score": 7.5},
        {"quality_score": "7"},
        {"quality_score": True},
        {"quality_score": None},
        {"helpful": None},
        {"helpful": "yes"},
        {"helpful": 1},
        {"reason": ""},
        {"reason": "two\nlines"},
        {"reason": "x" * 301},
        {"needs_review": True},
        {"needs_review": True, "helpful": None, "quality_score": None, "violation": "spam"},
        {"needs_review": True, "helpful": None, "quality_score": None, "violation": "spam", "action": "delete"},
        {"confidence": 0.9},
    ],
)
def test_a_wrong_verdict_never_gets_out(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ModerationResult.model_validate(CLEAN | wrong)


@pytest.mark.parametrize("field", CLEAN)
def test_a_verdict_is_whole_or_none(field: str) -> None:
    with pytest.raises(ValidationError):
        ModerationResult.model_validate({name: value for name, value in CLEAN.items() if name != field})


def test_what_needs_review_was_not_judged_and_nothing_is_done_to_it() -> None:
    result = needs_review("The filter declined.")
    assert result.needs_review
    assert (result.helpful, result.quality_score, result.violation, result.action) == (None, None, None, Action.NONE)
    assert ModerationResult.model_validate_json(result.model_dump_json()) == result


def test_a_verdict_cannot_be_changed_afterwards() -> None:
    verdict = ModerationResult.model_validate(CLEAN)
    with pytest.raises(ValidationError):
        verdict.violation = Violation.SPAM
