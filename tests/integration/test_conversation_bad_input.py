"""What a conversation refuses: in one sentence, before anything waits or is queued; over both clients."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from bot_client import InvalidRequest
from bot_client.testing import FakeUnderstudy
from tests.support.client_world import KINDS_OF_CLIENT, World, world_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@pytest.fixture(params=KINDS_OF_CLIENT)
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    async with world_of(request) as made:
        yield made


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        ({"id": ""}, "conversation: id has 0 characters; at least 1 is needed."),
        ({"id": "x" * 201}, "conversation: id has 201 characters; at most 200 are allowed."),
        ({"id": "a\nb"}, "conversation: id must be one line of visible text."),
        ({"id": None}, "conversation: id must be text, not null."),
        ({"language": ""}, "conversation: language has 0 characters; at least 1 is needed."),
        ({"language": "x" * 61}, "conversation: language has 61 characters; at most 60 are allowed."),
        ({"system": "x" * 32_001}, "conversation: system has 32,001 characters; at most 32,000 are allowed."),
        ({"max_messages": 1}, "conversation: max_messages is 1; at least 2 is needed."),
        ({"max_messages": 401}, "conversation: max_messages is 401; at most 400 is allowed."),
        ({"max_tokens": 0}, "conversation: max_tokens is 0; at least 1 is needed."),
    ],
)
def test_a_conversation_that_breaks_a_limit_is_refused_in_one_sentence(make: dict[str, Any], sentence: str) -> None:
    given = {"id": "chat", **make}
    with pytest.raises(InvalidRequest) as refused:
        FakeUnderstudy().conversation(given.pop("id"), **given)
    assert str(refused.value) == sentence


@pytest.mark.parametrize(
    ("say", "sentence"),
    [
        ({"text": ""}, "conversation: text has no visible content; at least 1 character is needed."),
        ({"text": " \n"}, "conversation: text has no visible content; at least 1 character is needed."),
        ({"text": "x" * 100_001}, "conversation: text has 100,001 characters; at most 100,000 are allowed."),
        ({"text": 5}, "conversation: text must be text, not a number."),
        ({"text": "x", "name": "a b"}, r"conversation: name must match ^[^\s<|\\/>]{1,64}$."),
        ({"text": "x", "max_tokens": 0}, "conversation: max_tokens is 0; at least 1 is needed."),
        ({"text": "x", "deadline_s": -1}, "call: deadline_s is -1; it must be more than 0."),
    ],
)
async def test_what_cannot_be_said_is_refused_in_one_sentence_and_nothing_waits(
    world: World, say: dict[str, Any], sentence: str
) -> None:
    chat = world.llm.conversation("chat")
    with pytest.raises(InvalidRequest) as refused:
        await chat.say(**say)
    assert str(refused.value) == sentence
    with pytest.raises(InvalidRequest):
        async for _ in chat.say(**say, stream=True):
            pass
    assert world.opened == 0
    await chat.say("fine")  # no place was left behind
