"""Fates are read from words and JSON, and checked; the draw decides who meets them."""

from __future__ import annotations

import asyncio

import pytest

from workers.stand_in.draw import Draw
from workers.stand_in.fate import Fate, FateError
from workers.stand_in.memory import Memory


def nothing(_: str) -> bool:
    return False


def test_key_value_pairs_and_json_give_the_same_fate() -> None:
    pairs = ["latency_ms=100-300", "status=503", "retry_after=2", "times=3", "no_usage", "when=a=b"]
    data = {"latency_ms": [100, 300], "status": 503, "retry_after": 2, "times": 3, "no_usage": True, "when": "a=b"}
    built = Fate(latency_ms=(100, 300), status=503, retry_after=2, times=3, no_usage=True, when="a=b")
    assert Fate.parse(pairs) == Fate.from_json(data) == built


@pytest.mark.parametrize(
    "fate",
    [
        Fate(),
        Fate(refuse=True),
        Fate(latency_ms=(1, 2), answer="empty"),
        Fate(code="insufficient_quota", share=0.25, seed=7),
    ],
)
def test_a_fate_survives_json_and_pairs(fate: Fate) -> None:
    assert Fate.from_json(fate.to_json()) == fate
    assert Fate.parse(fate.to_pairs()) == fate


@pytest.mark.parametrize(
    ("code", "status"),
    [("insufficient_quota", 429), ("model_not_found", 404), ("context_length_exceeded", 400), ("invalid_api_key", 401)],
)
def test_a_known_code_brings_its_status(code: str, status: int) -> None:
    assert Fate(code=code).status == status
    assert Fate(code=code, status=418).status == 418


@pytest.mark.parametrize(
    ("pairs", "sentence"),
    [
        (["stauts=503"], "fate 'stauts' is unknown; known are latency_ms, "),
        (["status=200"], "fate status must be a whole number from 400 to 599, not '200'"),
        (["status"], "fate status must be a whole number from 400 to 599, not 'true'"),
        (["status=503", "status=500"], "fate status is given twice"),
        (["latency_ms=soon"], "fate latency_ms must be milliseconds from 0 to 3600000 or a range such as 100-300"),
        (["latency_ms=300-100"], "fate latency_ms must be milliseconds from 0 to 3600000 or a range such as 100-300"),
        (["share=1.5"], "fate share must be a number from 0 to 1, not '1.5'"),
        (["share=nan"], "fate share must be a number from 0 to 1, not 'nan'"),
        (["refuse=maybe"], "fate refuse must be true or false, not 'maybe'"),
        (["answer=bad"], "fate answer must be one of good, wrong_schema, "),
        (["times=0"], "fate times must be a whole number from 1 to 1000000, not '0'"),
        (["when="], "fate when must be a text that is not empty"),
        (["code=strange"], "fate code needs a status, except for "),
        (["retry_after=1"], "fate retry_after needs a status or a code"),
        (["needs_tokens=5"], "fate needs_tokens needs answer=length"),
        (["tool_style=odd"], "fate tool_style must be one of split, whole, whole_stop, not 'odd'"),
        (["reset", "silence"], "fates refuse, reset, silence, status, model_missing exclude each other"),
        (["cut_after=1", "stall_after=1"], "fates stall_after, cut_after, malformed_after exclude each other"),
        (["refuse", "times=2"], "fate refuse goes with none of times, share, when"),
    ],
)
def test_a_fate_that_cannot_be_is_refused_in_one_sentence(pairs: list[str], sentence: str) -> None:
    with pytest.raises(FateError) as caught:
        Fate.parse(pairs)
    assert str(caught.value).startswith(sentence)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("data", [[], "refuse", None, {"status": True}, {"refuse": 1}, {"status": 503.0}])
def test_json_of_a_wrong_type_is_refused(data: object) -> None:
    with pytest.raises(FateError):
        Fate.from_json(data)


def test_a_fate_with_times_meets_so_many_calls_and_probes_use_up_none() -> None:
    draw = Draw(Fate(status=503, times=2))
    assert [draw.for_call(nothing, probe=probe).status for probe in (True, False, False, True, False)] == [
        503,
        503,
        503,
        None,
        None,
    ]


def test_a_fate_with_a_text_meets_only_the_calls_that_contain_it() -> None:
    draw = Draw(Fate(status=503, when="boom", times=1))
    assert [draw.for_call(text.__contains__).status for text in ("quiet", "a boom", "boom")] == [None, 503, None]


def test_a_share_is_drawn_alike_from_the_same_seed() -> None:
    def drawn(seed: int) -> list[bool]:
        draw = Draw(Fate(reset=True, share=0.3), seed)
        return [draw.for_call(nothing).reset for _ in range(1000)]

    assert drawn(1) == drawn(1) != drawn(2)
    assert 200 < sum(drawn(1)) < 400


def test_a_fate_for_some_calls_leaves_looks_alone() -> None:
    assert not Draw(Fate(silence=True, share=0.5)).for_look().silence
    assert Draw(Fate(silence=True)).for_look().silence


def test_a_latency_range_is_drawn_anew_for_each_call() -> None:
    fate = Fate(latency_ms=(100, 300))
    draw = Draw(fate)
    drawn = {draw.latency_s(fate) for _ in range(20)}
    assert len(drawn) > 1
    assert all(0.1 <= latency_s <= 0.3 for latency_s in drawn)


async def test_a_cold_model_loads_once_and_again_after_idling() -> None:
    loads, now_ms = [0], [1000.0]
    memory = Memory(lambda: loads.append(1), clock=lambda: now_ms[0])
    for at, expected in ((1000.0, 1), (50_000.0, 1), (110_000.0, 1), (170_001.0, 2)):
        now_ms[0] = at
        await memory.need(Fate(cold_ms=1, cold_idle_ms=60_000))
        assert sum(loads) == expected


async def test_a_loading_ends_with_the_call_it_is_for_and_begins_anew_for_the_next() -> None:
    loads: list[int] = []
    memory = Memory(lambda: loads.append(1))
    first = asyncio.create_task(memory.need(Fate(cold_ms=3_600_000)))
    second = asyncio.create_task(memory.need(Fate(cold_ms=1)))
    await asyncio.sleep(0)
    first.cancel()
    await second
    assert sum(loads) == 2
