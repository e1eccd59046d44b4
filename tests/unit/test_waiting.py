"""Why a call waits, runs or has ended: one sentence for each situation."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bot_client.cli.why_view import Place, why_of
from understudy.contracts.call import Attempt, CallOptions, Outcome, Status
from understudy.providers import Provider
from understudy.state.health import HALF_OPEN, OPEN, Breaker, Queue, Snapshot
from understudy.state.record import Record
from understudy.waiting import reason_of, why_it_waits

NOW = 1_000_000
CALL = Record(
    id="c1", state="Q", kind="moderation", request='{"text":"words"}', options=CallOptions(), deadline=NOW + 20_000,
    created=NOW - 10_000, provider="ollama", queue="ollama",
)  # fmt: skip
RUNNING = replace(CALL, state="R", begun=NOW - 3_000, lease=NOW + 7_000, worker="w1")
PARKED = replace(CALL, state="P")
WORKED = Queue(concurrency=4)
OLLAMA = Provider("ollama", "http://x/v1", "m", None, False, True, 8192, 15, 3, 15, 10)
OPENAI = Provider("openai", "http://y/v1", "m", None, True, False, 128_000, 30, 3, 30, 20)


def seen(queue: Queue = WORKED, breaker: Breaker | None = None) -> Snapshot:
    return Snapshot(now=NOW, queues={"ollama": queue}, breakers={"ollama": breaker or Breaker()})


def ended(status: Status, **more: object) -> Record:
    outcome = Outcome[dict[str, object]].model_validate(
        {"call_id": "c1", "kind": "moderation", "status": status, **more}
    )
    letter = {Status.DONE: "D", Status.FAILED: "F", Status.CANCELLED: "X"}[status]
    return replace(CALL, state=letter, outcome=outcome.model_dump_json(), ended=NOW)


@pytest.mark.parametrize(
    ("record", "snapshot", "rank", "said"),
    [
        (CALL, seen(Queue()), 0, "No worker consumes the queue ollama."),
        (
            CALL,
            seen(replace(WORKED, paused_ms=12_000, paused_why="rate_limited")),
            0,
            "is paused for 12 s: rate limited",
        ),
        (CALL, seen(breaker=Breaker(OPEN, why="refused")), 0, "breaker of ollama is open (connection refused)"),
        (
            CALL,
            seen(breaker=Breaker(HALF_OPEN, why="slow")),
            0,
            "being tried with few calls at a time, after: too slow",
        ),
        (CALL, seen(), 5, "It waits behind 5 calls; the workers of ollama run 4 at once."),
        (CALL, seen(), 0, "It is the next in the queue ollama"),
        (replace(CALL, deadline=NOW), seen(), 0, "Its deadline has passed"),
        (RUNNING, seen(), None, "A worker has been asking ollama for 3.0 s."),
        (replace(RUNNING, lease=NOW - 1), seen(), None, "has not been heard of for too long (ollama)"),
        (PARKED, seen(), None, "(ollama: was tried in this round; openai: its breaker is open)"),
        (ended(Status.DONE, provider="openai"), seen(), None, "It was answered by openai."),
        (ended(Status.DONE, degraded=True), seen(), None, "it got the answer that needs none"),
        (ended(Status.FAILED, reason="quarantined"), seen(), None, "It failed: its worker died three times."),
        (ended(Status.CANCELLED), seen(), None, "It was given up"),
    ],
)
def test_each_situation_has_its_sentence(record: Record, snapshot: Snapshot, rank: int | None, said: str) -> None:
    standings = {"ollama": "tried", "openai": "breaker_open"}
    assert said in reason_of(record, snapshot, rank, standings)


def test_a_parked_call_that_somebody_can_take_says_who() -> None:
    assert "openai can take it" in reason_of(PARKED, seen(), None, {"ollama": "tried", "openai": "free"})


def test_each_provider_is_judged_for_itself_with_the_time_before_which_it_is_not_asked() -> None:
    record = replace(PARKED, not_before={"ollama": NOW + 4_000})
    queues = {"ollama": WORKED, "openai": WORKED}
    breakers = {"openai": Breaker(OPEN, why="auth", until=NOW + 9_000)}
    told = why_of(record, [OLLAMA, OPENAI], Snapshot(now=NOW, queues=queues, breakers=breakers), Place(due=NOW + 500))
    assert [(row["name"], row["standing"], row["again_ms"]) for row in told["providers"]] == [
        ("ollama", "not_before", 4_000),
        ("openai", "breaker_open", 9_000),
    ]
    assert (told["next_look_ms"], told["position"], told["deadline_left_ms"]) == (500, None, 20_000)


def test_a_call_that_a_script_ended_shows_the_attempts_of_its_record() -> None:
    record = replace(CALL, state="F", reason="quarantined", attempts=(Attempt(provider="ollama", what="worker_lost"),))
    told = why_of(record, [OLLAMA], seen(), Place())
    assert [attempt["what"] for attempt in told["attempts"]] == ["worker_lost"]
    assert told["providers"] == []
    assert told["outcome"]["reason"] == "quarantined"


def test_a_call_that_waits_is_told_with_a_sentence_about_each_provider() -> None:
    record = replace(PARKED, not_before={"ollama": NOW + 4_000})
    queues, breakers = {"ollama": WORKED, "openai": WORKED}, {"openai": Breaker(OPEN, why="auth", until=NOW + 9_000)}
    assert why_it_waits(record, Snapshot(now=NOW, queues=queues, breakers=breakers), [OLLAMA, OPENAI]) == (
        "No provider can take it now. It is tried again at the next look.",
        "ollama: has to be left alone for a while; it is asked again in 4.0 s at the earliest.",
        "openai: its breaker is open; it is asked again in 9.0 s at the earliest.",
    )


def test_a_queued_call_says_where_it_is_and_what_the_others_could_do() -> None:
    health = Snapshot(now=NOW, queues={"ollama": WORKED, "openai": WORKED})
    assert why_it_waits(CALL, health, [OLLAMA, OPENAI], rank=2) == (
        "It waits behind 2 calls; the workers of ollama run 4 at once.",
        "ollama: the call is here.",
        "openai: can take it.",
    )
    assert why_it_waits(CALL, health, [OLLAMA])[0] == "It is in the queue ollama, whose workers run 4 at once."


@pytest.mark.parametrize("record", [RUNNING, ended(Status.CANCELLED), replace(CALL, deadline=NOW)])
def test_a_call_that_does_not_wait_has_one_sentence(record: Record) -> None:
    assert len(why_it_waits(record, seen(), [OLLAMA, OPENAI])) == 1
