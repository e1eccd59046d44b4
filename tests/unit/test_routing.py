"""The choice of provider, as a table that reads like its specification."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.health import (
    CLOSED,
    DEAD,
    IDLE,
    NOW,
    OLLAMA,
    OPENAI,
    THREE,
    TWO,
    VLLM,
    arguments,
    deep,
    half_open,
    out,
    paused,
    seen,
    takes,
)
from understudy.contracts.call import Spend
from understudy.routing import Choice, Policy, choose, kept_back_ms, opening
from understudy.state.health import Snapshot

ANY = Policy("moderation", total_ms=30_000)
NEVER = Policy("moderation", total_ms=30_000, spend=Spend.NEVER)
DEFER = Policy("moderation", total_ms=30_000, spend=Spend.DEFER)
LOCAL = Policy("moderation", total_ms=30_000, local_only=True)
FREE = Policy("moderation", total_ms=30_000, free_only=True)
BATCH = Policy("moderation", total_ms=3_600_000, batch=True)


def chosen(state: Snapshot, policy: Policy = ANY, providers: tuple[Any, ...] = THREE, **given: Any) -> Choice:
    return choose(providers, state, policy, **arguments(**given))


# What is seen, what the call allows, and who it goes to: of ollama (free, local), vllm (free) and openai (paid).
TABLE: list[tuple[str, Snapshot, Policy, dict[str, Any], str | None]] = [
    ("the first in configured order", seen(), ANY, {}, "ollama"),
    # (a) not tried
    ("the next when the first was tried", seen(), ANY, {"tried": {"ollama"}}, "vllm"),
    ("nobody when all were tried", seen(), ANY, {"tried": {"ollama", "vllm", "openai"}}, None),
    # (b) allowed by the policy
    ("no paid one for a call that never spends", seen(ollama=DEAD, vllm=DEAD), NEVER, {}, None),
    ("no paid one after a quota ran out", seen(), FREE, {"tried": {"ollama", "vllm"}}, None),
    ("only local ones for a private call", seen(ollama=DEAD), LOCAL, {}, None),
    ("the local one for a private call", seen(), LOCAL, {}, "ollama"),
    ("the one that the call names", seen(), Policy("moderation", total_ms=30_000, only="openai"), {}, "openai"),
    ("nobody but the one that the call names", seen(vllm=DEAD), Policy("moderation", only="vllm"), {}, None),
    ("not another one that is forced", seen("openai"), Policy("moderation", only="vllm"), {}, "vllm"),
    ("one with tools for a call with tools", seen(), Policy("agent_turn", needs_tools=True), {}, "ollama"),
    ("a larger window for a long prompt", seen(), Policy("agent_turn", prompt_tokens=9_000), {}, "vllm"),
    ("a larger window where one was too small", seen(), Policy("agent_turn", larger_than=32_768), {}, "openai"),
    ("nobody where no window is larger", seen(), Policy("agent_turn", larger_than=128_000), {}, None),
    # (c) a live worker
    ("the next when nobody works for the first", seen(ollama=DEAD), ANY, {}, "vllm"),
    ("by the batch queue for a batch row", seen(ollama_batch=DEAD), BATCH, {}, "vllm"),
    ("not by the batch queue for a live call", seen(ollama_batch=DEAD), ANY, {}, "ollama"),
    ("nobody without any worker", seen(ollama=DEAD, vllm=DEAD, openai=DEAD), ANY, {}, None),
    # (d) the breaker admits, or might
    ("the next while the first is out", seen(ollama=out(9_000)), ANY, {}, "vllm"),
    ("a half-open one with a free permit", seen(ollama=half_open(1)), ANY, {}, "ollama"),
    ("not a half-open one without", seen(ollama=half_open(0)), ANY, {}, "vllm"),
    (
        "not a half-open one whose permit somebody waits for",
        seen(ollama=deep(1), ollama_breaker=half_open(1)),
        ANY,
        {},
        "vllm",
    ),
    (
        "the half-open one for the call that waits for its permit itself",
        seen(ollama=deep(1), ollama_breaker=half_open(1)),
        ANY,
        {"queued_at": "ollama"},
        "ollama",
    ),
    ("the next while the first one's queue is paused", seen(ollama=paused(5_000)), ANY, {}, "vllm"),
    ("the next while the ledger keeps the call off", seen(), ANY, {"not_before": {"ollama": NOW + 1}}, "vllm"),
    ("the first again from then on", seen(), ANY, {"not_before": {"ollama": NOW}}, "ollama"),
    # (e) can answer in the time left
    ("the next when the backlog is too long", seen(ollama=deep(200), ollama_breaker=takes(1_000)), ANY, {}, "vllm"),
    ("the first when the backlog is worked off in time", seen(ollama=deep(40)), ANY, {}, "ollama"),
    (
        "the next when answers take longer than what is left, less what is kept back",
        seen(ollama=takes(25_000)),
        ANY,
        {},
        "vllm",
    ),
    (
        "the last one may take all that is left",
        seen(openai=takes(25_000)),
        ANY,
        {"tried": {"ollama", "vllm"}},
        "openai",
    ),
    (
        "the fastest when all are too slow",
        seen(ollama=takes(90_000), vllm=takes(70_000), openai=takes(80_000)),
        ANY,
        {},
        "vllm",
    ),
    # forced and preferred
    ("the forced one first", seen("openai"), ANY, {}, "openai"),
    ("not the forced one past the policy", seen("openai"), NEVER, {}, "ollama"),
    ("not the forced one while it is out", seen("openai", openai=out(9_000)), ANY, {}, "ollama"),
    ("the preferred fallback while the primary is out", seen(preferred="openai", ollama=out(9_000)), ANY, {}, "openai"),
    ("the primary before the preferred fallback", seen(preferred="openai"), ANY, {}, "ollama"),
    (
        "a half-open primary with a free permit before the preferred fallback",
        seen(preferred="openai", ollama=half_open(1)),
        ANY,
        {},
        "ollama",
    ),
    ("the forced one before the preferred", seen("vllm", preferred="openai", ollama=DEAD), ANY, {}, "vllm"),
    ("a preferred one that is not configured orders nothing", seen(preferred="gone", ollama=DEAD), ANY, {}, "vllm"),
    # spend
    ("free ones wait behind a backlog before a deferring call pays", seen(vllm=DEAD), DEFER, {}, "ollama"),
    ("a deferring call does not pay while there is time", seen(ollama=DEAD, vllm=DEAD), DEFER, {}, None),
    (
        "a deferring call pays near its deadline",
        seen(ollama=DEAD, vllm=DEAD),
        DEFER,
        {"deadline_ms": NOW + 7_500},
        "openai",
    ),
    (
        "earlier, where the paid one is slow",
        seen(ollama=DEAD, vllm=DEAD, openai=takes(10_000)),
        DEFER,
        {"deadline_ms": NOW + 20_000},
        "openai",
    ),
    # batch rows
    ("a batch row never leaves for a backlog", seen(ollama_batch=deep(9_999)), BATCH, {}, "ollama"),
    ("a batch row leaves for an open breaker", seen(ollama=out(9_000)), BATCH, {}, "vllm"),
    ("a batch row leaves for a dead queue", seen(ollama_batch=DEAD, vllm_batch=DEAD), BATCH, {}, "openai"),
    (
        "a batch row does not pay while a free one is half-open",
        seen(ollama=half_open(0), vllm_batch=DEAD),
        BATCH,
        {},
        None,
    ),
    (
        "a batch row does not pay while a free queue rests",
        seen(ollama_batch=paused(5_000), vllm=out(9)),
        BATCH,
        {},
        None,
    ),
    (
        "a batch row does not pay while the ledger keeps it off a free one",
        seen(vllm_batch=DEAD),
        BATCH,
        {"not_before": {"ollama": NOW + 900}},
        None,
    ),
]


@pytest.mark.parametrize(("what", "state", "policy", "given", "provider"), TABLE, ids=[row[0] for row in TABLE])
def test_a_call_goes_to(
    what: str, state: Snapshot, policy: Policy, given: dict[str, Any], provider: str | None
) -> None:
    assert chosen(state, policy, **given).provider == provider


# When nobody can take the call now, asking again is of no use before:
EARLIEST: list[tuple[str, Snapshot, Policy, dict[str, Any], int]] = [
    ("the next probe of a free provider that is out", seen(ollama=out(60_000)), LOCAL, {}, 2_000),
    ("the end of its cooldown, where that is sooner", seen(ollama=out(900)), LOCAL, {}, 900),
    ("its own Retry-After", seen(ollama=out(60_000, floor_ms=20_000)), LOCAL, {}, 20_000),
    ("the end of the cooldown, where a human must mend it", seen(ollama=out(60_000, "auth")), LOCAL, {}, 60_000),
    (
        "the end of a paid one's cooldown, which nobody probes",
        seen(openai=out(8_000)),
        ANY,
        {"tried": {"ollama", "vllm"}},
        8_000,
    ),
    ("a moment, for a half-open one whose permits are taken", seen(ollama=half_open(0)), LOCAL, {}, 1_000),
    ("the end of the pause", seen(ollama=paused(5_000)), LOCAL, {}, 5_000),
    ("what the ledger said", seen(), LOCAL, {"not_before": {"ollama": NOW + 700}}, 700),
    (
        "the later of two reasons at one provider",
        seen(ollama=paused(5_000), ollama_breaker=out(9_000)),
        LOCAL,
        {},
        5_000,
    ),
    ("the earliest of several", seen(ollama=paused(5_000), vllm=paused(3_000)), NEVER, {}, 3_000),
    ("the time to pay", seen(ollama=DEAD, vllm=DEAD), DEFER, {}, 22_500),
]


@pytest.mark.parametrize(("what", "state", "policy", "given", "ms"), EARLIEST, ids=[row[0] for row in EARLIEST])
def test_nobody_is_asked_before(what: str, state: Snapshot, policy: Policy, given: dict[str, Any], ms: int) -> None:
    choice = chosen(state, policy, **given)
    assert (choice.provider, choice.why, choice.earliest_ms) == (None, "not_now", NOW + ms)


PASSED: list[tuple[Snapshot, Policy, dict[str, Any], dict[str, str]]] = [
    (seen(), FREE, {"tried": {"ollama", "vllm"}}, {"ollama": "tried", "vllm": "tried", "openai": "policy"}),
    (seen(ollama=DEAD, vllm=out(9_000)), ANY, {}, {"ollama": "no_workers", "vllm": "breaker_open"}),
    (seen(ollama=half_open(0), vllm=paused(9)), ANY, {}, {"ollama": "breaker_half_open", "vllm": "paused"}),
    (seen(ollama=deep(900), vllm=takes(99_000)), ANY, {}, {"ollama": "too_slow", "vllm": "too_slow"}),
    (seen(ollama=DEAD, vllm=DEAD), DEFER, {}, {"ollama": "no_workers", "vllm": "no_workers", "openai": "deferred"}),
    (seen(vllm=DEAD), ANY, {"not_before": {"ollama": NOW + 9}}, {"ollama": "not_before", "vllm": "no_workers"}),
]


@pytest.mark.parametrize(("state", "policy", "given", "passed"), PASSED)
def test_who_was_passed_over_is_said_with_the_reason(
    state: Snapshot, policy: Policy, given: dict[str, Any], passed: dict[str, str]
) -> None:
    assert chosen(state, policy, **given).passed_over == passed


def test_no_worker_anywhere_is_told_from_no_provider_left() -> None:
    assert chosen(seen(ollama=DEAD, vllm=DEAD, openai=DEAD)).why == "no_workers"
    assert chosen(seen(), tried={"ollama", "vllm", "openai"}).why == "no_provider"
    assert chosen(seen(), Policy("moderation", local_only=True), providers=(VLLM, OPENAI)).why == "no_provider"


# Where a new call is opened.
OPENED: list[tuple[str, Snapshot, Policy, str | None]] = [
    ("at the choice", seen(ollama=DEAD), ANY, "vllm"),
    ("without any worker at the first allowed", seen(ollama=DEAD, vllm=DEAD, openai=DEAD), ANY, "ollama"),
    ("at one with workers while all are out", seen(ollama=DEAD, vllm=out(9_000), openai=out(9_000)), ANY, "vllm"),
    ("not at a paid one before the time to pay", seen(ollama=DEAD, vllm=DEAD), DEFER, "ollama"),
    ("at a live free one before the time to pay", seen(ollama=DEAD, vllm=half_open(0)), DEFER, "vllm"),
    ("at the forced one first, also without workers", seen("vllm", ollama=DEAD, vllm=DEAD, openai=DEAD), ANY, "vllm"),
    ("nowhere where the policy allows nobody", seen(), Policy("moderation", larger_than=10**6), None),
]


@pytest.mark.parametrize(("what", "state", "policy", "provider"), OPENED, ids=[row[0] for row in OPENED])
def test_a_call_is_opened(what: str, state: Snapshot, policy: Policy, provider: str | None) -> None:
    assert opening(THREE, state, policy, deadline_ms=NOW + 30_000) == provider


# Of 20 s that are left to ollama, so much is kept for the next provider.
KEPT: list[tuple[str, Snapshot, Policy, dict[str, Any], int]] = [
    ("a quarter", seen(), ANY, {}, 5_000),
    ("its recent p95, where that is longer", seen(openai=takes(*[100] * 18, 7_000, 8_000)), ANY, {}, 8_000),
    ("never more than half", seen(openai=takes(60_000)), ANY, {}, 10_000),
    ("nothing without a next one", seen(openai=DEAD), ANY, {}, 0),
    ("nothing when the next one was tried", seen(), ANY, {"tried": ["openai"]}, 0),
    ("nothing when the next one is out", seen(openai=out(60_000)), ANY, {}, 0),
    ("nothing when the policy allows no other", seen(), NEVER, {}, 0),
    ("a quarter for a paid one that is asked only at the end", seen(), DEFER, {}, 5_000),
]


@pytest.mark.parametrize(("what", "state", "policy", "given", "ms"), KEPT, ids=[row[0] for row in KEPT])
def test_time_is_kept_back(what: str, state: Snapshot, policy: Policy, given: dict[str, Any], ms: int) -> None:
    assert kept_back_ms(TWO, state, policy, left_ms=20_000, current="ollama", **given) == ms


def test_the_order_of_the_settings_is_the_preference() -> None:
    assert choose((OPENAI, OLLAMA), seen(), ANY, deadline_ms=NOW + 30_000).provider == "openai"
    assert choose((), seen(), ANY, deadline_ms=NOW + 30_000).why == "no_provider"


def test_of_a_provider_that_nothing_is_known_of_the_best_is_assumed() -> None:
    state = Snapshot(now=NOW, queues={"ollama": IDLE})
    assert choose(TWO, state, ANY, deadline_ms=NOW + 30_000).provider == "ollama"
    assert state.breaker("ollama") == CLOSED
