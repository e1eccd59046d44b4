"""Estimates of tokens, in any script."""

from __future__ import annotations

import pytest

from understudy.tokens import estimate_tokens, upper_bound_tokens

ENGLISH = "The quick brown fox jumps over the lazy dog, and then it goes home to sleep until the morning comes."
RUSSIAN = "Съешь же ещё этих мягких французских булок, да выпей чаю, а потом иди домой спать до самого утра."
CHINESE = "敏捷的棕色狐狸跳过了懒狗,然后它回家睡觉,一直睡到第二天早上。"
HINDI = "तेज़ भूरी लोमड़ी आलसी कुत्ते के ऊपर से कूदती है और फिर घर जाकर सो जाती है।"
EMOJI = "👍🏽🎉🚀👨‍👩‍👧‍👦"
CODE = 'def f(x: int) -> dict[str, int]:\n    return {"a": x * 2, "b": [1, 2, 3][x % 3]}\n'
TEXTS = {"english": ENGLISH, "russian": RUSSIAN, "chinese": CHINESE, "hindi": HINDI, "emoji": EMOJI, "code": CODE}


MEASURED = {"english": 22, "russian": 54, "chinese": 48, "hindi": 76, "emoji": 30, "code": 39}
"""What OpenAI's cl100k_base makes of them."""


@pytest.mark.parametrize("name", TEXTS)
def test_an_estimate_is_near_what_a_tokenizer_of_middle_age_makes_of_it(name: str) -> None:
    assert 0.7 <= estimate_tokens(TEXTS[name]) / MEASURED[name] <= 1.5


@pytest.mark.parametrize("name", TEXTS)
def test_no_estimate_is_above_the_bound(name: str) -> None:
    assert 0 < estimate_tokens(TEXTS[name]) <= upper_bound_tokens(TEXTS[name])


def test_nothing_is_no_tokens_and_half_an_emoji_is_no_error() -> None:
    assert estimate_tokens("") == upper_bound_tokens("") == 0
    assert estimate_tokens("\ud83d") == 2
    assert upper_bound_tokens("\ud83d") == 3


def test_the_estimate_grows_with_the_text() -> None:
    for text in TEXTS.values():
        assert estimate_tokens(text * 10) >= 9 * estimate_tokens(text)
