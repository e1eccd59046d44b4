"""The synchronous form does what the client it stands on does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bot_client.sync import Understudy
from bot_client.testing import FakeUnderstudy
from understudy.errors import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def fake() -> FakeUnderstudy:
    return FakeUnderstudy()


@pytest.fixture
def llm(fake: FakeUnderstudy) -> Iterator[Understudy]:
    with Understudy(fake) as started:
        yield started


def test_each_kind_of_call_is_answered(llm: Understudy) -> None:
    assert llm.moderate("hello").result is not None
    assert llm.name_thread("How do I back up my photos?").result is not None
    assert llm.agent_turn([{"role": "user", "content": "hello"}]).result is not None


def test_a_call_that_was_submitted_is_found_by_its_id(llm: Understudy) -> None:
    call = llm.submit("moderation", {"text": "hello"})
    assert llm.call(call.id).result().call_id == call.id


def test_a_call_is_cancelled(llm: Understudy, fake: FakeUnderstudy) -> None:
    fake.hold("moderation")
    call = llm.submit("moderation", {"text": "hello"})
    assert llm.cancel(call.id)
    assert call.status().state == "cancelled"


def test_providers_are_seen_forced_and_cleared(llm: Understudy, fake: FakeUnderstudy) -> None:
    fake.set_provider("ollama", breaker="open")
    llm.force_provider("openai", why="trying it")
    seen = {each.name: each for each in llm.provider_status()}
    assert seen["ollama"].breaker == "open"
    assert seen["openai"].forced is not None
    llm.clear_health()
    assert llm.unforce()
    assert all(each.breaker == "closed" and each.forced is None for each in llm.provider_status())


def test_errors_are_those_of_the_client(llm: Understudy) -> None:
    with pytest.raises(InvalidRequest, match="known are ollama, openai"):
        llm.force_provider("nobody", why="trying it")


def test_a_conversation_is_held(llm: Understudy) -> None:
    chat = llm.conversation("chat", system="Be brief.")
    assert chat.say("hello", deadline_s=30).result.text
    assert [message["role"] for message in chat.history()] == ["user", "assistant"]
    chat.clear()
    assert chat.history() == []
    with pytest.raises(InvalidRequest, match="results names a tool call"):
        chat.give_results({"c1": "seen"})
