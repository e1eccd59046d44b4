"""The client in memory, as a bot's own tests use it; what it shares with the real one is tested with that."""

from __future__ import annotations

import asyncio
import time

import pytest
from pydantic import ValidationError

from bot_client import Action, DeadlineExceeded, InvalidRequest, Unavailable, Violation
from bot_client.testing import FakeUnderstudy
from bot_client.testing.fake import PROVIDERS
from bot_client.testing.plugin import fake_understudy  # noqa: F401 - a fixture

SPAM = {"helpful": False, "violation": "spam", "quality_score": 0, "action": "delete", "reason": "It sells something."}


async def _bot_reads(llm: FakeUnderstudy, text: str) -> str:
    """A bot's own code, as small as it gets."""
    outcome = await llm.moderate(text)
    return "deleted" if outcome.result and outcome.result.action is Action.DELETE else "kept"


async def test_a_bots_own_test_scripts_answers_and_reads_the_calls(fake_understudy: FakeUnderstudy) -> None:  # noqa: F811
    fake_understudy.answer("moderation", SPAM)
    assert await _bot_reads(fake_understudy, "buy now") == "deleted"
    assert await _bot_reads(fake_understudy, "hello") == "kept"
    assert [call.request.text for call in fake_understudy.calls] == ["buy now", "hello"]  # type: ignore[attr-defined]
    assert fake_understudy.calls[0].outcome is not None


async def test_an_answer_may_be_made_from_the_request_and_stand_for_all() -> None:
    fake = FakeUnderstudy()
    fake.answer("thread_naming", lambda request: {"name": request.first_message[:10]}, always=True)
    names = [(await fake.name_thread(text)).result for text in ("Rice and beans", "Cooking pasta")]
    assert [name and name.name for name in names] == ["Rice and b", "Cooking pa"]


async def test_a_scripted_answer_that_breaks_the_contract_is_refused_when_it_is_scripted() -> None:
    fake = FakeUnderstudy()
    with pytest.raises(ValidationError):
        fake.answer("moderation", {**SPAM, "quality_score": 11})
    with pytest.raises(ValueError, match="translation is no kind"):
        fake.fail("translation")
    with pytest.raises(ValueError, match="moderation has no degraded answer"):
        fake.degrade("moderation")


async def test_time_is_the_tests_own_and_nobody_sleeps() -> None:
    fake, began = FakeUnderstudy(), time.monotonic()
    fake.answer("moderation", SPAM, delay_s=20)
    outcome = await fake.moderate("x")
    assert outcome.result is not None
    assert outcome.result.violation is Violation.SPAM
    assert (fake.now_s, outcome.total_ms >= 20_000) == (20, True)
    fake.answer("moderation", SPAM, delay_s=3_600)
    with pytest.raises(DeadlineExceeded, match="30,000 ms in all"):
        await fake.moderate("x")
    call = await fake.submit("moderation", {"text": "x"})
    fake.answer("moderation", SPAM, delay_s=10)
    slow = await fake.submit("moderation", {"text": "x"})
    fake.advance(9)
    assert (call.done(), slow.done()) == (True, False)
    with pytest.raises(TimeoutError):
        await slow.result(timeout_s=0.5)
    fake.advance(1)
    assert slow.done()
    assert time.monotonic() - began < 15


async def test_a_held_call_runs_out_of_time_when_the_clock_says_so() -> None:
    fake = FakeUnderstudy()
    fake.hold("moderation")
    waiting = asyncio.ensure_future(fake.moderate("x", deadline_s=5))
    await asyncio.sleep(0)
    fake.advance(6)
    with pytest.raises(DeadlineExceeded):
        await waiting


async def test_while_unavailable_everything_fails_as_if_redis_were_away() -> None:
    fake = FakeUnderstudy()
    fake.unavailable = True
    for attempt in (fake.moderate("x"), fake.provider_status(), fake.call("x"), fake.cancel("x"), fake.unforce()):
        with pytest.raises(Unavailable):
            await attempt
    fake.unavailable = False
    assert (await fake.moderate("x")).result
    assert len(fake.calls) == 1


async def test_a_provider_whose_breaker_is_open_is_not_asked_first() -> None:
    fake = FakeUnderstudy()
    fake.set_provider("ollama", breaker="open", why="refused", retry_in_s=4.0)
    assert (await fake.moderate("x")).provider == "openai"
    assert (await fake.moderate("x", spend="never")).provider == "ollama"
    await fake.clear_health()
    assert (await fake.moderate("x")).provider == "ollama"


async def test_a_bot_without_a_key_has_one_provider_in_its_tests_too() -> None:
    fake = FakeUnderstudy(PROVIDERS[1:])
    with pytest.raises(InvalidRequest, match="spend is never"):
        await fake.moderate("x", spend="never")
    assert fake.calls == []
