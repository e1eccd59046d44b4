"""What an attempt tells those who stream its call."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from workers.speech import Speech

ANEW = ("restarted", {"provider": "ollama", "why": "empty"})
THOUGHT = ("restarted", {"provider": "ollama", "why": "reasoning"})
TOOL = {"id": "t1", "name": "weather", "arguments": "{}"}
RESULT = {"id": "t1", "name": "weather", "content": "sunny", "ok": True}


class Said:
    """The outbox, and the attempt's surroundings."""

    def __init__(self) -> None:
        self.events: list[tuple[str, Any]] = []
        self.thinks_first: set[tuple[str, str]] = set()
        self.deltas = self

    def say(self, _: object, kind: str, data: Any) -> None:
        self.events.append((kind, data))

    def shown(self) -> str:
        """As a reader would have it."""
        text = ""
        for kind, data in self.events:
            text = "" if kind == "restarted" else text + data if kind == "delta" else text
        return text

    def attempt(self) -> Speech:
        """Another attempt at the same provider."""
        run = SimpleNamespace(provider=SimpleNamespace(name="ollama", model="m"))
        return Speech(cast("Any", self), cast("Any", run))


@pytest.fixture
def said() -> Said:
    return Said()


def test_pieces_are_said_as_they_come_and_the_rest_at_the_end(said: Said) -> None:
    speech = said.attempt()
    for piece in ("\n It", " is", " \n"):
        speech.piece(piece)
    speech.settled("It is")
    assert said.events == [("delta", "It"), ("delta", " is")]


def test_an_answer_that_was_not_streamed_is_said_whole(said: Said) -> None:
    said.attempt().settled("It is")
    assert said.events == [("delta", "It is")]


def test_asked_again_the_provider_begins_anew_if_anything_was_shown(said: Said) -> None:
    speech = said.attempt()
    speech.piece(" ")
    speech.restart("empty")
    assert said.events == []
    speech.piece("It")
    speech.restart("empty")
    speech.piece("No")
    speech.settled("No.")
    assert said.events == [("delta", "It"), ANEW, ("delta", "No"), ("delta", ".")]


def test_what_tools_did_and_the_text_before_stand_when_an_answer_begins_anew(said: Said) -> None:
    speech = said.attempt()
    speech.piece("Let me look.")
    speech.settled("Let me look.")
    speech.tool_called(**TOOL)
    speech.tool_returned("t1", "weather", "sunny", ok=True)
    speech.piece("It ra")
    speech.restart("empty")
    speech.piece("It is sunny.")
    speech.settled("It is sunny.")
    before = [("delta", "Let me look."), ("tool_call", TOOL), ("tool_result", RESULT)]
    assert said.events == [*before, ("delta", "\n\nIt ra"), ANEW, *before, ("delta", "\n\nIt is sunny.")]
    assert said.shown() == "Let me look.\n\nIt is sunny."


def test_reasoning_that_was_taken_for_the_answer_is_taken_back_once(said: Said) -> None:
    first = said.attempt()
    first.piece("Hm, so")
    first.piece("</think>It is")
    first.settled("It is")
    assert said.events == [("delta", "Hm, so"), THOUGHT, ("delta", "It is")]
    said.events.clear()
    second = said.attempt()
    for piece in ("Hm,", " so", "</think>It", " is"):
        second.piece(piece)
    second.settled("It is")
    assert said.events == [("delta", "It"), ("delta", " is")]


def test_a_model_that_no_longer_thinks_first_is_shown_at_once_again(said: Said) -> None:
    said.thinks_first.add(("ollama", "m"))
    first = said.attempt()
    first.piece("It is")
    first.settled("It is")
    assert said.events == [("delta", "It is")]
    said.attempt().piece("It")
    assert said.events[-1] == ("delta", "It")
