"""Reasoning is taken out, sentences are cut."""

from __future__ import annotations

import pytest

from understudy.contracts.text import is_visible, one_line, one_sentence, strip_reasoning


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "plain"),
        ("<think>so</think>\n\nAnswer", "Answer"),
        ("<THINK>so\n```\nx\n</THINK>Answer", "Answer"),
        ("<think></think>\n<reasoning>a</reasoning>Answer", "Answer"),
        ("<think>never closed", ""),
        ("opened in the prompt </think> Answer", "Answer"),
        ("Use `<think>` to think and `</think>` to end.", "Use `<think>` to think and `</think>` to end."),
        ("```\n<think>x</think>\n```", "```\n<think>x</think>\n```"),
        ("Before <think>hm</think>after", "Before after"),
        ("I think <thin>k</thin>", "I think <thin>k</thin>"),
        ("</think>" * 20_000 + "A", "A"),
        ("<think>" * 20_000 + "A", ""),
    ],
)
def test_reasoning_is_taken_out_and_code_stays(text: str, expected: str) -> None:
    assert strip_reasoning(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One. Two.", "One."),
        ("One, e.g. this one", "One, e.g. this one"),
        ("One\n two!  Three", "One two!"),
        ("一。二。", "一。"),
        ("Это спам! Удалить.", "Это спам!"),
        ("a word too long", "a word…"),
        ("x" * 20, "x" * 9 + "…"),
    ],
)
def test_the_first_sentence_is_kept_and_cut_at_a_word(text: str, expected: str) -> None:
    assert one_sentence(text, 10 if len(expected) <= 10 else 30) == expected


@pytest.mark.parametrize(
    ("text", "visible"), [("a", True), ("👍", True), (".", True), ("", False), (" \n\u200b\x00\u2028", False)]
)
def test_what_a_reader_cannot_see_is_no_text(text: str, visible: bool) -> None:
    assert is_visible(text) is visible


def test_one_line_has_no_breaks_and_no_control_characters() -> None:
    assert one_line(" a\r\nb\u2028c\x00\x85d\t ") == "a b c d"
