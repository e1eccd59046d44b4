"""How long a provider may take."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.support.health import OLLAMA, OPENAI
from understudy.state.health import Breaker, Snapshot
from workers.limits import KEEP_ALIVE_MS, Limits, is_cold, limits_of

if TYPE_CHECKING:
    from understudy.providers import Provider

NOW = 1_800_000_000_000
LOCAL = replace(OLLAMA, timeout_s=15.0, first_byte_s=15.0, slow_s=10.0)
PAID = replace(OPENAI, timeout_s=30.0, first_byte_s=20.0, slow_s=20.0)
AWAKE, IDLE, NEVER = NOW - 1000, NOW - KEEP_ALIVE_MS - 1, 0


def limits(provider: Provider, ok_at: int, left_s: float, kept_s: float, *, flows: bool, cold_s: float = 60) -> Limits:
    seen = Snapshot(now=NOW, breakers={provider.name: Breaker(ok_at=ok_at)})
    return limits_of(provider, seen, left_s=left_s, kept_s=kept_s, flows=flows, cold_start_s=cold_s)


@pytest.mark.parametrize(
    ("sentence", "provider", "ok_at", "cold"),
    [
        ("a model that answered a second ago is there", LOCAL, AWAKE, False),
        ("one that answered longer ago than it is kept may be gone", LOCAL, IDLE, True),
        ("one that never answered may never have been loaded", LOCAL, NEVER, True),
        ("a paid provider's models are always there", PAID, NEVER, False),
        ("so are those of a free one elsewhere", replace(LOCAL, local=False), NEVER, False),
        ("a paid one is not ours to wait for, wherever it is", replace(LOCAL, paid=True), NEVER, False),
    ],
)
def test_a_model_is_cold(sentence: str, provider: Provider, ok_at: int, cold: bool) -> None:
    assert is_cold(provider, Breaker(ok_at=ok_at), NOW) is cold, sentence


@pytest.mark.parametrize(
    ("sentence", "given", "expected"),
    [
        (
            "a verdict is to be whole within the provider's limit",
            limits(LOCAL, AWAKE, 30, 7.5, flows=False),
            Limits(15, 15, 15),
        ),
        (
            "or within what is left beside the time that is kept back",
            limits(LOCAL, AWAKE, 16, 4, flows=False),
            Limits(12, 12, 12),
        ),
        (
            "with less than what counts as slow, a time-out says nothing",
            limits(LOCAL, AWAKE, 12, 4, flows=False),
            Limits(8, 8, 8, by_deadline=True),
        ),
        (
            "an answer that flows may take all of the call's time but what is kept back",
            limits(LOCAL, AWAKE, 120, 30, flows=True),
            Limits(90, 15, 15, flows=True),
        ),
        (
            "its first chunk and its gaps have the provider's limit",
            limits(PAID, AWAKE, 120, 0, flows=True),
            Limits(120, 20, 20, flows=True),
        ),
        (
            "a cold model's first chunk may take as long as loading does, its gaps may not",
            limits(LOCAL, IDLE, 120, 30, flows=True),
            Limits(90, 60, 15, flows=True, cold=True),
        ),
        (
            "a verdict from a cold model falls back in time all the same",
            limits(LOCAL, NEVER, 30, 7.5, flows=False),
            Limits(22.5, 22.5, 15, cold=True),
        ),
        (
            "one with time enough gets the loading added",
            limits(LOCAL, NEVER, 3600, 900, flows=False),
            Limits(60, 60, 15, cold=True),
        ),
        (
            "where no loading is expected, a cold model is like any other",
            limits(LOCAL, NEVER, 120, 30, flows=True, cold_s=0),
            Limits(90, 15, 15, flows=True),
        ),
    ],
)
def test_the_limits_of_a_request(sentence: str, given: Limits, expected: Limits) -> None:
    assert given == expected, sentence
