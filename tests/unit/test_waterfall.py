"""What a call's time went into: the bars of its record."""

from __future__ import annotations

from dataclasses import replace

import pytest

from understudy.contracts.call import Attempt, CallOptions, Outcome, Status
from understudy.state.record import Record
from understudy.waterfall import bars_of

OPENED = 1_700_000_000_000
CALL = Record(
    id="c1", state="Q", kind="moderation", request='{"text":"words"}', options=CallOptions(), deadline=OPENED + 30_000,
    created=OPENED, provider="ollama", queue="ollama", sent=OPENED,
)  # fmt: skip
REFUSED = Attempt(provider="ollama", model="m", what="refused", at_ms=OPENED + 10, ms=20, requests=1)
ANSWERED = Attempt(provider="openai", model="g", what="answered", at_ms=OPENED + 35, ms=500, requests=1)


def shown(record: Record, at: int = 1_000) -> list[tuple[str, str, int, int]]:
    return [(bar.label, bar.what, bar.start_ms, bar.end_ms) for bar in bars_of(record, OPENED + at)]


def ended(state: str, attempts: list[Attempt], at: int, **more: object) -> Record:
    status = {"D": Status.DONE, "F": Status.FAILED, "X": Status.CANCELLED}[state]
    outcome = Outcome[dict[str, object]](call_id="c1", kind="moderation", status=status, attempts=attempts, **more)  # type: ignore[arg-type]
    return replace(CALL, state=state, ended=OPENED + at, outcome=outcome.model_dump_json())


@pytest.mark.parametrize(
    ("record", "bars"),
    [
        (CALL, [("waits for ollama", "queued", 0, 1_000)]),
        (replace(CALL, state="P"), [("waits", "parked", 0, 1_000)]),
        (
            replace(CALL, state="R", begun=OPENED + 40, attempts=(REFUSED,), provider="openai"),
            [
                ("waits for ollama", "queued", 0, 10),
                ("asks ollama", "refused", 10, 30),
                ("waits for openai", "queued", 30, 40),
                ("asks openai", "running", 40, 1_000),
            ],
        ),
        (
            ended("D", [REFUSED, ANSWERED], 536, provider="openai"),
            [
                ("waits for ollama", "queued", 0, 10),
                ("asks ollama", "refused", 10, 30),
                ("waits for openai", "queued", 30, 35),
                ("asks openai", "answered", 35, 535),
                ("done", "done", 536, 536),
            ],
        ),
        (
            ended("F", [REFUSED], 30_000, reason="deadline"),
            [
                ("waits for ollama", "queued", 0, 10),
                ("asks ollama", "refused", 10, 30),
                ("waits", "parked", 30, 30_000),
                ("failed", "failed", 30_000, 30_000),
            ],
        ),
        (replace(CALL, state="X", ended=OPENED + 5), [("cancelled", "cancelled", 5, 5)]),
    ],
    ids=["queued", "parked", "running", "done", "failed", "cancelled at once"],
)
def test_the_bars_leave_no_gap_and_end_with_what_is_now(record: Record, bars: list[tuple[str, str, int, int]]) -> None:
    assert shown(record) == bars


def test_a_wait_in_vain_is_the_wait_of_the_queue_it_was_in() -> None:
    waited = Attempt(provider="ollama", what="waited", detail="no_workers", at_ms=OPENED, ms=8_000)
    record = replace(CALL, state="R", begun=OPENED + 8_005, attempts=(waited,), provider="openai")
    first, *_ = bars_of(record, OPENED + 9_000)
    assert (first.label, first.what, first.start_ms, first.end_ms) == ("waits for ollama", "waited", 0, 8_000)
    assert first.detail == "waited too long (no_workers)"


def test_attempts_that_do_not_say_when_they_began_stand_one_after_the_other() -> None:
    old = [attempt.model_copy(update={"at_ms": 0}) for attempt in (REFUSED, ANSWERED)]
    record = replace(ended("D", old, 530, provider="openai"), first=OPENED + 7)
    assert [bar[2:] for bar in shown(record)] == [(0, 7), (7, 27), (27, 527), (530, 530)]


def test_bars_never_overlap_where_clocks_disagree_by_a_moment() -> None:
    early = ANSWERED.model_copy(update={"at_ms": OPENED + 25})
    assert [bar[2:] for bar in shown(ended("D", [REFUSED, early], 520))] == [(0, 10), (10, 30), (30, 525), (525, 525)]


def test_what_ended_it_stands_at_the_end() -> None:
    assert bars_of(ended("F", [REFUSED], 40, reason="no_provider"), OPENED)[-1].detail == (
        "every provider that was allowed to answer failed"
    )
    assert bars_of(ended("D", [], 40, degraded=True), OPENED)[-1].detail == "the answer that needs no provider"


def test_what_a_provider_said_cannot_steer_a_terminal() -> None:
    odd = REFUSED.model_copy(update={"provider": "\x1b[2J", "detail": "\x07"})
    bar = bars_of(replace(CALL, attempts=(odd,)), OPENED + 40)[1]
    assert (bar.label, bar.detail) == ("asks \ufffd[2J", "connection refused (\ufffd)")
