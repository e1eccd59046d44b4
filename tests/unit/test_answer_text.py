"""What is shown of an answer while it arrives."""

from __future__ import annotations

import random

import pytest

from understudy.contracts.text import strip_reasoning
from workers.answer_text import AnswerText

PIECES = (
    "<think>", "</think>", "<THINKING>", "</thinking>", "`", "``", "```", "```py\n", "\n", " ", "a", "b<c", " word ",
    "<", "</", "thi", "nk>", "é", "x > y", "</reflection>", "  \n",
)  # fmt: skip


def shown(pieces: list[str], *, thinks_first: bool = False) -> list[str]:
    """What a reader sees after each piece."""
    text, seen, answer = "", [], AnswerText(thinks_first=thinks_first)
    for piece in pieces:
        forget, fresh = answer.feed(piece)
        text = fresh if forget else text + fresh
        seen.append(text)
    return seen


@pytest.mark.parametrize(
    ("sentence", "pieces", "expected"),
    [
        ("plain text is shown at once", ["A", "b", " c"], ["A", "Ab", "Ab c"]),
        ("white space waits for what follows", ["\n", " A", " ", "b\n", "\n"], ["", "A", "A", "A b", "A b"]),
        ("reasoning is never shown", ["<think>", "hm", "</think>", "A"], ["", "", "", "A"]),
        ("also where its tag is cut anywhere", ["<th", "ink>hm</t", "hink>A"], ["", "", "A"]),
        ("a sign that is no tag is shown", ["1 <", " 2", " <b>"], ["1", "1 < 2", "1 < 2 <b>"]),
        ("a tag within code is text", ["`", "<think>", "` is a tag"], ["", "`", "`<think>` is a tag"]),
        ("code is shown as it comes", ["```", "py\nx = 1", "\n```"], ["```", "```py\nx = 1", "```py\nx = 1\n```"]),
        ("reasoning between texts goes", ["A <think>", "x", "</think>b"], ["A", "A", "A b"]),
        ("reasoning that only ends takes what stood before", ["hm, so", "</think>", "A"], ["hm, so", "", "A"]),
    ],
)
def test_an_answer_that_arrives(sentence: str, pieces: list[str], expected: list[str]) -> None:
    assert shown(pieces) == expected, sentence


def test_of_a_model_that_thinks_first_nothing_is_shown_before_its_reasoning_has_ended() -> None:
    assert shown(["hm,", " so</thi", "nk> A", "b"], thinks_first=True) == ["", "", "A", "Ab"]


@pytest.mark.parametrize("seed", range(4))
def test_whatever_a_model_writes_what_is_shown_becomes_the_answer(seed: int) -> None:
    draw = random.Random(seed)
    for _ in range(2000):
        text = "".join(draw.choices(PIECES, k=draw.randint(1, 14)))
        cuts = sorted(draw.sample(range(len(text) + 1), min(len(text) + 1, draw.randint(0, 5))))
        answer, seen = AnswerText(thinks_first=draw.random() < 0.1), ""
        for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True):
            forget, fresh = answer.feed(text[start:end])
            seen = fresh if forget else seen + fresh
        forget, fresh = answer.settle(strip_reasoning(text))
        assert (fresh if forget else seen + fresh) == strip_reasoning(text), repr(text)
