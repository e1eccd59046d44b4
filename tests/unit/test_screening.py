"""What a moderation endpoint finds, as a verdict of ours."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from openai.types.moderation import Categories

import tasks.moderation
from bot_client.cli.ask import _verdict
from tests.support.chat_parts import provider_at
from understudy.contracts.moderation import KIND, Action, ModerationRequest, ModerationResult, Violation
from understudy.contracts.thread_naming import ThreadNamingRequest
from understudy.settings import load_settings
from workers.chat_reply import Malformed
from workers.kind_work import Reply
from workers.screening import CATEGORIES, IN_NEED, SCREENING, as_completion, is_screened, work_of
from workers.stand_in.screen import CATEGORIES as STAND_IN
from workers.unusable import Unusable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

ASKED = ModerationRequest(text="x")
ENDPOINT = load_settings(env_file=None, moderation_fallback="endpoint")
OPENAI = provider_at("http://127.0.0.1:9", name="openai", paid=True, local=False)


def read(*flagged: str, **found: object) -> ModerationResult:
    given = {"flagged": bool(flagged), "categories": dict.fromkeys(flagged, True) | {"sexual": "sexual" in flagged}}
    result = SCREENING.read(Reply(json.dumps(given | found)), ASKED)
    assert isinstance(result, ModerationResult)
    return result


@pytest.mark.parametrize(
    ("flagged", "violation", "action"),
    [
        ((), None, Action.NONE),
        (("harassment",), Violation.TOXIC, Action.WARN),
        (("harassment", "hate"), Violation.TOXIC, Action.DELETE),
        (("illicit",), Violation.OTHER, Action.DELETE),
        (("illicit", "sexual/minors"), Violation.TOXIC, Action.DELETE),
        (("violence",), Violation.TOXIC, Action.WARN),
        (("self-harm/instructions",), Violation.OTHER, Action.DELETE),
        (("a category of next year",), Violation.OTHER, Action.WARN),
    ],
)
def test_the_gravest_category_decides(flagged: tuple[str, ...], violation: Violation | None, action: Action) -> None:
    result = read(*flagged)
    assert (result.violation, result.action, result.needs_review) == (violation, action, False)
    assert all(name in result.reason for name in flagged if name in CATEGORIES)


def test_every_verdict_says_that_quality_was_not_judged() -> None:
    for result in (read(), read("hate"), read("self-harm")):
        assert (result.screened, result.helpful, result.quality_score) == (True, None, None)


def test_a_screened_verdict_never_passes_for_a_whole_one() -> None:
    with pytest.raises(ValueError, match="must not give helpful or quality_score where screened is true"):
        ModerationResult(
            helpful=True, violation=None, quality_score=5, action=Action.NONE, reason="It is fine.", screened=True
        )
    assert "screened: " in _verdict(read())
    assert "helpful" not in _verdict(read("hate"))


def test_who_may_be_in_need_is_left_to_a_person() -> None:
    for name in IN_NEED:
        result = read(name, "harassment")
        assert (result.needs_review, result.violation, result.action) == (True, None, Action.NONE)


def test_what_is_flagged_without_a_category_is_a_warning() -> None:
    assert read(flagged=True).action is Action.WARN


def test_every_category_of_the_installed_sdk_has_a_meaning() -> None:
    named = {field.alias or name for name, field in Categories.model_fields.items()}
    assert named == {*CATEGORIES, *IN_NEED} == set(STAND_IN)


@pytest.mark.parametrize("text", ['{"flagged": true}', '{"categories": []}', '{"categories": {}, "flagged": "no"}'])
def test_an_answer_without_categories_is_unusable(text: str) -> None:
    with pytest.raises(Unusable):
        SCREENING.read(Reply(text), ASKED)


@pytest.mark.parametrize("body", [b"", b"[]", b'{"results": []}', b'{"results": [1], "model": "m"}', b"[" * 9999])
async def test_what_is_no_answer_of_the_endpoint_is_malformed(body: bytes) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield body

    with pytest.raises(Malformed):
        async for _ in as_completion(pieces()):
            pass


def test_the_endpoint_answers_only_by_default_rules_at_openai_where_the_settings_say_so() -> None:
    assert is_screened(ENDPOINT, OPENAI, ASKED)
    assert is_screened(ENDPOINT, OPENAI, ModerationRequest(text="x", rules="  "))
    assert not is_screened(ENDPOINT, OPENAI, ModerationRequest(text="x", rules="No cats."))
    assert not is_screened(ENDPOINT, provider_at("http://127.0.0.1:9", name="groq", paid=True), ASKED)
    assert not is_screened(ENDPOINT, OPENAI, ThreadNamingRequest(first_message="x"))
    assert not is_screened(load_settings(env_file=None), OPENAI, ASKED)
    assert work_of(load_settings(env_file=None), OPENAI, KIND.name, ASKED) is tasks.moderation.WORK
