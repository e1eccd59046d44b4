"""A cut never splits what a reader sees as one character."""

from __future__ import annotations

import pytest

from understudy.contracts.graphemes import graphemes, head

FAMILY = "\U0001f468\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466"
SCOTLAND = "\U0001f3f4\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("abc", ["a", "b", "c"]),
        ("e\u0301a", ["e\u0301", "a"]),
        (FAMILY + FAMILY, [FAMILY, FAMILY]),
        ("🇩🇪🇫🇷🇮", ["🇩🇪", "🇫🇷", "🇮"]),
        ("👍🏽👍", ["👍🏽", "👍"]),
        ("❤️1️⃣", ["❤️", "1️⃣"]),
        (SCOTLAND + "x", [SCOTLAND, "x"]),
        ("한국", ["한", "국"]),
        ("\u1112\u1161\u11ab\u1100", ["\u1112\u1161\u11ab", "\u1100"]),
        ("नमस्ते", ["न", "म", "स्ते"]),
        ("がｶﾞ", ["が", "ｶﾞ"]),
        ("a\r\nb", ["a", "\r\n", "b"]),
        ("a\u200d b", ["a\u200d", " ", "b"]),
        ("\u0301a", ["\u0301", "a"]),
    ],
)
def test_a_text_splits_into_what_a_reader_counts(text: str, expected: list[str]) -> None:
    assert list(graphemes(text)) == expected


@pytest.mark.parametrize(
    ("text", "limit", "expected"),
    [("abc", 2, "ab"), ("abc", 9, "abc"), (FAMILY, 6, ""), (f"a{FAMILY}b", 8, f"a{FAMILY}"), ("🇩🇪🇫🇷", 3, "🇩🇪")],
)
def test_a_head_holds_whole_characters_only(text: str, limit: int, expected: str) -> None:
    assert head(text, limit) == expected
