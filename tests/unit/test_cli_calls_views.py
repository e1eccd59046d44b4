"""What people read of calls: tables of causes and calls, the bars of one, the log of operators."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from rich.console import Console

from bot_client.cli import audit, status_view
from bot_client.cli.call_view import WIDTH, call_of, call_view, drawn
from bot_client.cli.calls_view import causes_of, causes_view, ended_of, ended_view, open_of, open_view
from bot_client.cli.retry import Plan
from understudy.contracts.call import Attempt, CallOptions
from understudy.providers import Provider
from understudy.state.audit import AuditEntry
from understudy.state.ended import Cause, EndedCall
from understudy.state.health import Queue, Snapshot
from understudy.state.open_calls import OpenCall
from understudy.state.record import Record
from understudy.state.stats import ProviderStats

if TYPE_CHECKING:
    from rich.console import RenderableType

NOW = 1_700_000_000_000
OLLAMA = Provider("ollama", "http://x/v1", "m", None, False, True, 8192, 15, 3, 15, 10)
RECORD = Record(
    id="c1", state="R", kind="moderation", request='{"text":"secret"}', options=CallOptions(key="chat:77"),
    deadline=NOW + 20_000, created=NOW - 10_000, provider="ollama", queue="ollama", begun=NOW - 4_000,
    lease=NOW + 6_000, worker="w1",
    attempts=(Attempt(provider="openai", what="server_error", detail="500", at_ms=NOW - 9_000, ms=1_000, requests=1),),
    charges={"1-1": 1_500},
)  # fmt: skip
STATS = ProviderStats("ollama", 1_204, 12, 0.946, 0.99, 480, 1_900, 210, None, ())


def shown(what: RenderableType, width: int = 140) -> list[str]:
    console = Console(file=io.StringIO(), width=width, markup=False, highlight=False)
    console.print(what)
    assert isinstance(console.file, io.StringIO)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


def row(lines: list[str], name: str) -> list[str]:
    line = next(line for line in lines if line.startswith(name))
    return [cell.strip() for cell in line.split("  ") if cell.strip()]


def test_causes_stand_with_their_meaning_the_largest_first() -> None:
    told = causes_of([Cause("deadline", 2, NOW - 5_000), Cause("quarantined", 1_200, NOW - 60_000)], 3, NOW)
    lines = shown(causes_view(told))
    assert [line.split()[0] for line in lines[2:4]] == ["quarantined", "deadline"]
    assert row(lines, "quarantined") == ["quarantined", "its worker died three times", "1,200", "1 min ago"]
    assert lines[5] == "3 calls open."
    assert "understudy retry --cause CAUSE" in lines[6]


def test_where_nothing_failed_that_is_said() -> None:
    assert shown(causes_view(causes_of([], 0, NOW))) == ["No call has failed within a day.", "No call is open."]
    assert shown(ended_view(ended_of([], NOW))) == ["There is none of a day."]
    assert shown(open_view(open_of([], NOW))) == ["There is none."]


def test_a_failed_call_has_its_reason_in_words_and_what_it_cost() -> None:
    call = EndedCall("c1", "agent_turn", "no_provider", NOW - 65_000, "openai", 4, 2_500)
    told = ended_of([call, replace(call, id="c2", provider="", cost_microusd=0)], NOW)
    assert told["calls"][0]["ended_ms"] == 65_000
    lines = shown(ended_view(told))
    why = "every provider that was allowed to answer failed"
    assert row(lines, "c1") == ["c1", "agent turn", why, "1 min 5 s ago", "openai", "4", "$0.0025"]
    assert row(lines, "c2")[-3:] == ["-", "4", "-"]


def test_an_open_call_says_where_it_is_and_how_long_it_has() -> None:
    running = OpenCall("c1", "R", "moderation", "ollama", "ollama", NOW - 9_000, NOW - 4_000, NOW + 21_000, "w1", 2)
    parked = replace(running, id="c2", state="P", deadline_ms=NOW - 1)
    told = open_of([running, parked], NOW)
    assert [(call["state"], call["running_ms"], call["worker"]) for call in told["calls"]] == [
        ("running", 4_000, "w1"),
        ("parked", None, None),
    ]
    lines = shown(open_view(told))
    assert row(lines, "c1") == ["c1", "moderation", "running", "ollama", "9.0 s ago", "4.0 s", "in 21 s", "w1"]
    assert row(lines, "c2") == ["c2", "moderation", "parked", "-", "9.0 s ago", "-", "has passed", "-"]


def test_a_call_is_drawn_as_bars_in_their_places() -> None:
    told = call_of(RECORD, Snapshot(now=NOW, queues={"ollama": Queue(concurrency=1)}), [OLLAMA], None)
    assert (told["state"], told["worker"], told["total_ms"], told["cost_microusd"]) == ("running", "w1", 10_000, 1_500)
    lines = shown(call_view(told))
    assert lines[:2] == ["moderation c1: running", "A worker has been asking ollama for 4.0 s."]
    assert lines[2] == "opened 10 s ago; deadline in 20 s; charged $0.0015"
    bars = [line for line in lines if set(line) & set("#=") or "...." in line]
    assert [line.split("  ")[0] for line in bars] == [
        "waits for openai",
        "asks openai",
        "waits for ollama",
        "asks ollama",
    ]
    assert bars[1].endswith("server error (500)")
    assert [line.count("#") + line.count("=") for line in bars] == [0, 4, 0, 16]
    assert "secret" not in str(told) + "".join(lines)
    assert "chat:77" not in str(told)


def test_in_a_narrow_terminal_the_bars_leave_room_for_the_words() -> None:
    told = call_of(RECORD, Snapshot(now=NOW), [OLLAMA], None)
    lines = shown(call_view(told, 72), width=72)
    assert max(map(len, lines)) <= 72
    assert next(line for line in lines if line.startswith("asks openai")).endswith("server error (500)")


def test_a_call_that_was_run_again_says_so() -> None:
    told = call_of(replace(RECORD, runs=2), Snapshot(now=NOW), [OLLAMA], None)
    assert "run again 2 times, this is the latest" in shown(call_view(told))[2]


@pytest.mark.parametrize(
    ("start", "end", "total", "text"),
    [
        (0, 10, 10, "#" * WIDTH),
        (0, 0, 10_000, "#"),
        (10_000, 10_000, 10_000, " " * (WIDTH - 1) + "#"),
        (5_000, 7_500, 10_000, " " * 20 + "#" * 10),
    ],
)
def test_the_shortest_bar_can_be_seen_and_none_leaves_the_line(start: int, end: int, total: int, text: str) -> None:
    assert drawn({"start_ms": start, "end_ms": end, "what": "refused"}, total).plain == text


def test_the_audit_log_has_a_time_of_the_clock_and_cannot_steer_a_terminal() -> None:
    lines = shown(audit.view([AuditEntry(1_763_863_200_000, "anna", "force openai 30m", "\x1b[2J [b]GPU[/b]")]))
    assert lines[2] == "2025-11-23 02:00:00   anna   force openai 30m   \ufffd[2J [b]GPU[/b]"


@pytest.mark.parametrize(
    ("plan", "sentence"),
    [
        (Plan(["a"], {}, 0), "1 call will run again, which costs nothing."),
        (
            Plan(["a", "b"], {}, 12_000),
            "2 calls will run again, which could cost $0.012 at most; the budgets hold.",
        ),
        (
            Plan(["a"], {}, None, "The price of gpt is not known."),
            "1 call will run again. What that could cost is not known here: The price of gpt is not known.",
        ),
    ],
)
def test_before_calls_run_again_it_is_said_what_that_could_cost(plan: Plan, sentence: str) -> None:
    assert plan.sentence() == sentence


def test_the_last_quarter_of_an_hour_is_shown_once_something_was_asked() -> None:
    quiet = replace(STATS, answered=0, failed=0, share=None, success=None)
    told: dict[str, Any] = status_view.status_of([OLLAMA], Snapshot(now=NOW), (), {"ollama": quiet})
    assert not [line for line in shown(status_view.view(told)) if line.startswith("Last 15 min")]
    told = status_view.status_of([OLLAMA], Snapshot(now=NOW), (), {"ollama": STATS})
    assert told["providers"][0]["quarter"]["p95_ms"] == 1_900
    lines = shown(status_view.view(told))
    start = next(i for i, line in enumerate(lines) if line.startswith("Last 15 min"))
    assert row(lines[start:], "ollama") == [
        "ollama", "1,204", "12", "95 %", "99 %", "480 ms", "1.9 s", "210 ms", "-",
    ]  # fmt: skip
