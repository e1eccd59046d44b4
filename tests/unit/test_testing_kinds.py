"""The client in memory knows what to do with a kind that was added."""

from __future__ import annotations

import pytest
from pydantic import BaseModel

from bot_client.testing import FakeUnderstudy
from understudy.contracts import KINDS, Kind


class Shout(BaseModel):
    text: str


def aloud(request: Shout) -> Shout:
    return Shout(text=request.text.upper())


async def answered(fake: FakeUnderstudy) -> str:
    return str((await (await fake.submit("shout", {"text": "hello"}))).result.text)


async def test_it_gives_the_answer_that_was_scripted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(KINDS, "shout", Kind("shout", Shout, Shout, deadline_s=5.0))
    fake = FakeUnderstudy()
    fake.answer("shout", {"text": "HI"})
    assert await answered(fake) == "HI"


async def test_unscripted_it_gives_the_degraded_answer_of_the_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(KINDS, "shout", Kind("shout", Shout, Shout, deadline_s=5.0, degraded=aloud))
    assert await answered(FakeUnderstudy()) == "HELLO"


async def test_without_any_answer_it_says_what_to_script(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(KINDS, "shout", Kind("shout", Shout, Shout, deadline_s=5.0))
    with pytest.raises(LookupError, match=r'answer\("shout", ..., always=True\)'):
        await answered(FakeUnderstudy())
