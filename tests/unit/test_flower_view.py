"""What Flower's page is told, made from what was read."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tests.support import flower_canned as canned
from tests.support.health import NOW, OLLAMA, OPENAI, TWO
from understudy.contracts.call import CallOptions
from understudy.state.audit import AuditEntry
from understudy.state.ended import Cause, EndedCall
from understudy.state.fallbacks import Fallback
from understudy.state.health import Breaker, Forced, Queue, Snapshot
from understudy.state.job import Job
from understudy.state.record import Record
from understudy.state.spend import BudgetUse
from understudy.state.stats import stats_of
from workers.flower_page import call_view, view
from workers.flower_page.visitor import Visitor

NAMES = ("ollama", "openai")
MINUTES = {n: {"ollama:ok": "3", "openai:ok": "1", "ollama:failed": "1", "ollama:d:10": "3"} for n in range(15)}
BUSY = Queue(depth=8, oldest_ms=4_000, concurrency=4)
RECORD = Record(
    id="c1", state="Q", kind="moderation", request='{"text":"words"}', options=CallOptions(), deadline=NOW + 20_000,
    created=NOW - 10_000, provider="ollama", queue="ollama", charges={"1-1": 70, "1-2": 30},
)  # fmt: skip


def told(snapshot: Snapshot = Snapshot(now=NOW), visitor: Visitor = Visitor("ann"), **more: Any) -> dict[str, Any]:  # noqa: B008 - both are frozen
    seen = view.Seen(snapshot, stats_of(NAMES, MINUTES), more.pop("spent", view.Spent(0, 0)), **more)
    return view.overview(seen, TWO, visitor)


def test_it_has_the_fields_that_the_page_reads() -> None:
    made = told(spent=view.Spent(1, 2, [BudgetUse("day", "2026-11-23", 5, 1)]))
    expected = canned.overview()
    assert made.keys() >= expected.keys() - {"who", "may_act", "why_not"}
    assert made["providers"][0].keys() == expected["providers"][0].keys()
    assert made["providers"][0]["queues"][0].keys() == expected["providers"][0]["queues"][0].keys()
    assert made["providers"][0]["series"][0].keys() == expected["providers"][0]["series"][0].keys()
    assert made["money"].keys() == expected["money"].keys()


def test_who_looks_is_told_what_they_may_do() -> None:
    assert [told()[name] for name in ("who", "may_act", "why_not")] == ["ann", True, ""]
    reader = told(visitor=Visitor("bob", "Not you."))
    assert [reader[name] for name in ("who", "may_act", "why_not")] == ["bob", False, "Not you."]


def test_a_provider_that_is_well_says_no_more_than_that() -> None:
    free, paid = told()["providers"]
    assert (free["name"], free["model"], free["paid"], free["local"]) == ("ollama", "m", False, True)
    assert (paid["paid"], paid["local"]) == (True, False)
    nothing = {
        "breaker": "closed",
        "since_ms": None,
        "why": "",
        "next_try_ms": None,
        "preferred": False,
        "forced": None,
    }
    assert {name: free[name] for name in nothing} == nothing


def test_an_open_breaker_says_why_since_when_and_until_when() -> None:
    breaker = Breaker("open", since=NOW - 4_000, until=NOW + 6_000, why="refused")
    free, paid = told(Snapshot(now=NOW, breakers={"ollama": breaker}, preferred="openai"))["providers"]
    assert (free["breaker"], free["why"]) == ("open", "connection refused")
    assert (free["since_ms"], free["next_try_ms"]) == (NOW - 4_000, NOW + 6_000)
    assert (free["preferred"], paid["preferred"]) == (False, True)


def test_a_half_open_breaker_keeps_its_reason_and_has_no_countdown() -> None:
    breaker = Breaker("half_open", since=NOW - 1, until=NOW - 1, why="slow")
    free = told(Snapshot(now=NOW, breakers={"ollama": breaker}))["providers"][0]
    assert (free["breaker"], free["why"], free["next_try_ms"]) == ("half_open", "too slow", None)


def test_the_forced_provider_alone_says_who_forced_it_and_why() -> None:
    free, paid = told(Snapshot(now=NOW, forced=Forced("openai", "ann", "an update", 60_000)))["providers"]
    assert (free["forced"], paid["forced"]) == (None, {"who": "ann", "why": "an update", "left_ms": 60_000})


def test_a_providers_figures_are_those_of_the_last_quarter_of_an_hour() -> None:
    free, paid = told()["providers"]
    assert (free["answered"], free["failed"], free["share"], free["success"]) == (45, 15, 0.75, 0.75)
    assert (paid["answered"], paid["share"], paid["p50_ms"], paid["success"]) == (15, 0.25, None, 1.0)
    assert (free["p50_ms"], free["p95_ms"], free["first_token_p50_ms"]) == (62, 62, None)
    assert [minute["answered"] for minute in free["series"]] == [3] * 15


def test_a_queue_says_who_works_on_it_and_how_long_it_takes_to_empty() -> None:
    workers = [
        {"id": "a", "queues": "ollama", "concurrency": 2},
        {"id": "b", "queues": "ollama,openai", "concurrency": 2},
        {"id": "c", "queues": "ollama.batch", "concurrency": 1},
    ]
    paused = Queue(depth=1, paused_ms=5_000, paused_why="rate_limited_until")
    snapshot = Snapshot(now=NOW, queues={"ollama": BUSY, "ollama.batch": paused}, workers=workers)
    free, paid = told(snapshot)["providers"]
    live, batch = free["queues"]
    assert (live["name"], live["depth"], live["oldest_ms"], live["concurrency"]) == ("ollama", 8, 4_000, 4)
    assert (live["workers"], live["drain_ms"], live["paused_ms"], live["paused_why"]) == (2, 124, 0, "")
    assert (batch["workers"], batch["paused_ms"], batch["paused_why"]) == (1, 5_000, "rate limited")
    assert (batch["drain_ms"], paid["queues"][0]["workers"], paid["queues"][1]["workers"]) == (None, 1, 0)


def test_money_fallbacks_causes_jobs_and_the_audit_log_are_told_in_words() -> None:
    job = Job("j", "night", "ann@host", "running", window=4, charged_microusd=70, progress={"done": 3, "total": 9})
    made = told(
        spent=view.Spent(100, 300, [BudgetUse("day", "2026-11-23", 5_000_000, 100)]),
        fallbacks=[Fallback(NOW, "c1", "moderation", "ollama", "openai", "refused")],
        causes=[Cause("quarantined", 3, NOW)],
        jobs=[job, replace(job, id="k", progress={})],
        audit=[AuditEntry(NOW, "ann", "unforce", "to see")],
    )
    assert made["money"] == {
        "day_microusd": 100,
        "month_microusd": 300,
        "budgets": [{"name": "day", "used_microusd": 100, "limit_microusd": 5_000_000}],
    }
    assert made["fallbacks"] == [
        {
            "at_ms": NOW,
            "call": "c1",
            "kind": "moderation",
            "from": "ollama",
            "to": "openai",
            "why": "connection refused",
        }
    ]
    died = {"reason": "quarantined", "words": "its worker died three times", "calls": 3, "latest_ms": NOW}
    assert made["causes"] == [died]
    assert [(row["done"], row["total"]) for row in made["jobs"]] == [(3, 9), (0, None)]
    assert {name: made["jobs"][0][name] for name in ("id", "name", "owner", "state", "window", "spend_microusd")} == {
        "id": "j",
        "name": "night",
        "owner": "ann@host",
        "state": "running",
        "window": 4,
        "spend_microusd": 70,
    }
    assert made["audit"] == [{"at_ms": NOW, "who": "ann", "what": "unforce", "why": "to see"}]


def test_a_cause_lists_its_latest_calls_and_how_many_there_are() -> None:
    ended = EndedCall("c1", "moderation", "rejected", NOW, "openai", 2, 150)
    row = {"id": "c1", "kind": "moderation", "ended_ms": NOW, "provider": "openai", "attempts": 2, "cost_microusd": 150}
    made = view.cause("rejected", [ended], 7)
    assert made == {"reason": "rejected", "words": "the provider rejected the request", "calls": [row], "total": 7}


def test_an_open_call_says_where_it_is_and_why_it_waits_and_nothing_of_its_text() -> None:
    made = call_view.call(RECORD, Snapshot(now=NOW, queues={"ollama": BUSY}), (OLLAMA, OPENAI), 5)
    assert (made["state"], made["reason"], made["reason_words"], made["ended_ms"]) == ("queued", "", "", None)
    assert (made["created_ms"], made["deadline_ms"], made["cost_microusd"]) == (NOW - 10_000, NOW + 20_000, 100)
    assert made["waits"][0] == "It waits behind 5 calls; the workers of ollama run 4 at once."
    assert [(bar["what"], bar["start_ms"], bar["end_ms"]) for bar in made["bars"]] == [("queued", 0, 10_000)]
    assert "words" not in str({name: value for name, value in made.items() if name != "reason_words"})


def test_a_failed_call_says_why() -> None:
    record = replace(RECORD, state="F", ended=NOW, reason="deadline")
    made = call_view.call(record, Snapshot(now=NOW), TWO, None)
    assert (made["state"], made["reason"], made["reason_words"]) == ("failed", "deadline", "its time ran out")
    assert (made["ended_ms"], made["waits"]) == (NOW, ["It failed: its time ran out."])
