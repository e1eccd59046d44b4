"""What people read: tables made from the documents, and `doctor`'s judgement of what it was told."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click
import pytest
from click.testing import CliRunner
from rich.console import Console

from bot_client.cli import status_view, why_view
from bot_client.cli.checks_providers import Listing, judged
from bot_client.cli.checks_redis import clock_check, latency_check, server_checks
from bot_client.cli.checks_workers import breaker_check, queue_checks, tick_check
from bot_client.cli.root import COMMANDS, root
from bot_client.cli.status_view import status_of
from understudy.providers import Provider
from understudy.state.health import HALF_OPEN, OPEN, Breaker, Forced, Queue, Snapshot

if TYPE_CHECKING:
    from rich.console import RenderableType

NOW = 5_000_000
OLLAMA = Provider("ollama", "http://x/v1", "llama3.2", None, False, True, 8192, 15, 3, 15, 10)
OPENAI = Provider("openai", "http://y/v1", "gpt", None, True, False, 128_000, 30, 3, 30, 20)
INFO = {
    "redis_version": "7.2.4",
    "role": "master",
    "maxmemory_policy": "noeviction",
    "aof_enabled": 1,
    "used_memory": 9,
}


def shown(what: RenderableType, width: int = 120) -> list[str]:
    console = Console(file=io.StringIO(), width=width, markup=False, highlight=False)
    console.print(what)
    assert isinstance(console.file, io.StringIO)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


def row(lines: list[str], name: str) -> str:
    return next(line for line in lines if line.startswith(name))


def test_the_short_helps_in_the_list_are_those_of_the_commands() -> None:
    ctx = click.Context(root)
    for name, (_, about) in COMMANDS.items():
        command = root.get_command(ctx, name)
        assert command is not None
        assert command.name == name
        assert command.help
        assert about.split()[0] == command.help.split()[0]


def test_without_a_command_the_help_is_shown() -> None:
    result = CliRunner().invoke(root, [])
    assert result.exit_code == 2
    assert "Commands:" in result.output


def test_an_open_breaker_shows_why_since_when_and_until_when() -> None:
    breakers = {
        "ollama": Breaker(OPEN, since=NOW - 12_000, until=NOW + 8_000, why="refused"),
        "openai": Breaker(HALF_OPEN, since=NOW - 1_000, permits_free=2, why="slow"),
    }
    lines = shown(status_view.view(status_of([OLLAMA, OPENAI], Snapshot(now=NOW, breakers=breakers))))
    assert row(lines, "ollama").split("   ")[0] == "ollama"
    for words in ("llama3.2", "open", "connection refused", "12 s ago", "in 8.0 s, or when a probe works"):
        assert words in row(lines, "ollama")
    for words in ("half-open", "too slow", "now, 2 calls at a time"):
        assert words in row(lines, "openai")


def test_a_batch_queue_is_shown_only_where_it_is_in_use() -> None:
    idle = Snapshot(now=NOW)
    assert not [line for line in shown(status_view.view(status_of([OLLAMA], idle))) if "batch" in line]
    busy = Snapshot(now=NOW, queues={"ollama.batch": Queue(depth=3, oldest_ms=61_000)})
    line = row(shown(status_view.view(status_of([OLLAMA], busy))), "ollama.batch")
    assert "3" in line
    assert "1 min 1 s" in line
    assert "none" in line


def test_who_forced_what_and_the_preferred_fallback_stand_below() -> None:
    seen = Snapshot(
        now=NOW, forced=Forced("ollama", "anna", "new [b]GPU[/b]", 90_000), preferred="openai", preferred_ms=60_000
    )
    lines = shown(status_view.view(status_of([OLLAMA, OPENAI], seen, ["openai is absent."])))
    assert lines[-3:] == [
        "Forced: ollama by anna for another 1 min 30 s: new [b]GPU[/b]",
        "Preferred fallback: openai, for at most another 1 min",
        "openai is absent.",
    ]


def test_a_narrow_terminal_folds_and_loses_nothing() -> None:
    long = replace(OLLAMA, model="a-model-whose-name-is-long")
    lines = shown(status_view.view(status_of([long], Snapshot(now=NOW))), width=40)
    assert max(map(len, lines)) <= 40
    assert not [line for line in lines if "…" in line]


def test_a_call_is_told_with_its_attempts() -> None:
    told: dict[str, Any] = {
        "call_id": "c1", "kind": "agent_turn", "state": "running", "why": "A worker is asking.", "provider": "openai",
        "queue": "openai", "position": None, "waiting_ms": None, "worker": "w1", "running_ms": 3_000, "next_look_ms": 0,
        "age_ms": 9_000, "deadline_left_ms": -200, "spend": "never", "local_only": True, "requests": 2, "rounds": 1,
        "crashes": 1, "only": None, "providers": [], "outcome": None,
        "attempts": [
            {"provider": "ollama", "model": "m", "what": "server_error", "detail": "500", "ms": 1_200, "requests": 2}
        ],
    }  # fmt: skip
    lines = shown(why_view.view(told))
    assert lines[:2] == ["agent turn c1: running", "A worker is asking."]
    assert "200 ms ago; the call ends at the next look" in row(lines, "deadline")
    assert row(lines, "1").split() == ["1", "ollama", "m", "server", "error", "(500)", "2", "1.2", "s"]


@pytest.mark.parametrize(
    ("change", "name", "words"),
    [
        ({"redis_version": "6.0.16"}, "redis version", "Redis 6.2 or newer"),
        ({"redis_version": "unknown"}, "redis version", "Redis 6.2 or newer"),
        ({"role": "slave"}, "redis role", "Set REDIS_URL to the primary."),
        ({"cluster_enabled": 1}, "redis role", "use one primary"),
        ({"maxmemory_policy": "volatile-lru"}, "redis eviction", "maxmemory-policy noeviction"),
        ({"aof_enabled": 0}, "redis persistence", "appendonly yes"),
        ({"aof_last_write_status": "err"}, "redis persistence", "disk"),
    ],
)
def test_a_redis_that_is_not_fit_fails_with_a_hint(change: dict[str, Any], name: str, words: str) -> None:
    assert [check.name for check in server_checks(INFO) if not check.ok or check.hint] == []
    (failed,) = (check for check in server_checks({**INFO, **change}) if not check.ok)
    assert failed.name == name
    assert words in failed.hint


def test_a_redis_that_is_nearly_full_is_a_note() -> None:
    (check,) = (c for c in server_checks({**INFO, "maxmemory": 1000, "used_memory": 900}) if c.hint)
    assert check.ok
    assert "90%" in check.detail


@pytest.mark.parametrize(("ms", "ok", "hint"), [(1, True, False), (30, True, True), (300, False, True)])
def test_a_slow_redis_is_first_a_note_then_a_failure(ms: float, ok: bool, hint: bool) -> None:
    check = latency_check(ms)
    assert (check.ok, bool(check.hint)) == (ok, hint)


@pytest.mark.parametrize(
    ("ms", "ok", "words"),
    [(500, True, "500 ms ahead of"), (-3_000, True, "3.0 s behind"), (90_000, False, "1 min 30 s")],
)
def test_clocks_that_differ_are_first_a_note_then_a_failure(ms: float, ok: bool, words: str) -> None:
    check = clock_check(ms)
    assert (check.ok, bool(check.hint)) == (ok, abs(ms) > 2_000)
    assert words in check.detail


@pytest.mark.parametrize(
    ("listing", "failed", "words"),
    [
        (Listing(200, ("llama3.2:latest",)), None, "llama3.2"),
        (Listing(200, ("llama3.2",)), None, "llama3.2"),
        (Listing(200, ("other", "\x1b[2J")), "model ollama", "ollama pull llama3.2; or set the model to one"),
        (Listing(200, ()), "model ollama", "it has none at all"),
        (Listing(200, None), None, "not known (answer 200)"),
        (Listing(404), None, "not known (answer 404)"),
        (Listing(401), "key ollama", "It wants a key"),
        (Listing(503), "endpoint ollama", "answers 503"),
        (Listing(fault="connection refused"), "endpoint ollama", "http://x/v1: connection refused"),
    ],
)
def test_a_provider_is_judged_by_what_it_answered(listing: Listing, failed: str | None, words: str) -> None:
    checks = judged(OLLAMA, listing)
    assert [check.name for check in checks if not check.ok] == ([failed] if failed else [])
    assert words in " ".join(f"{check.detail} {check.hint}" for check in checks)
    assert "\x1b" not in str(checks)


def test_queues_and_breakers_of_a_provider_are_checked() -> None:
    worker = {"id": "w1", "queues": "ollama,openai", "concurrency": 4}
    seen = Snapshot(
        now=NOW,
        workers=[worker],
        queues={"ollama": Queue(concurrency=4), "ollama.batch": Queue(depth=2)},
        breakers={"ollama": Breaker(OPEN, until=NOW + 8_000, why="auth")},
    )
    assert [(check.name, check.ok) for check in queue_checks(OLLAMA, seen)] == [
        ("queue ollama", True),
        ("queue ollama.batch", False),
    ]
    check = breaker_check(OLLAMA, seen)
    assert check.ok
    assert check.detail == "open: its key was refused"
    assert "understudy clear ollama" in check.hint


@pytest.mark.parametrize(("since_ms", "ok"), [(None, False), (1_500, True), (60_000, False)])
def test_a_reconciler_that_does_not_tick_fails(since_ms: int | None, ok: bool) -> None:
    assert tick_check(since_ms).ok is ok
