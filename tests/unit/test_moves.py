"""Where a call goes after a failure, a denial, a lost worker or a wait, as a table: the protocol's "Recovery"."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.health import (
    DEAD,
    NOW,
    OLLAMA,
    OPENAI,
    THREE,
    TWO,
    deep,
    half_open,
    in_ms,
    out,
    paused,
    seen,
    takes,
)
from understudy.contracts.call import Attempt, CallOptions, Reason, Spend
from understudy.moves import End, Move, Park, Stay, To, next_move, policy_of
from understudy.state.record import PARKED, QUEUED, RUNNING, Record

if TYPE_CHECKING:
    from understudy.state.health import Snapshot

NEVER, DEFER = CallOptions(spend=Spend.NEVER), CallOptions(spend=Spend.DEFER)

RUNS = Record(
    id="c1",
    state=RUNNING,
    kind="moderation",
    request="{}",
    options=CallOptions(),
    deadline=NOW + 30_000,
    created=NOW,
    provider="ollama",
    queue="ollama",
    first=NOW,
    requests=1,
)
WAITS = replace(RUNS, state=QUEUED, first=0, requests=0)
PARKS = replace(RUNS, state=PARKED)
NONE_LIVE = seen(ollama=DEAD, vllm=DEAD, openai=DEAD)


def move(record: Record, state: Snapshot | None = None, **given: Any) -> Move:
    return next_move(record, TWO, state or seen(), **given)


DENIED = Attempt(provider="openai", what="budget", detail="the budget of the day has no room for it")
SHORT = replace(PARKS, short="day", attempts=(DENIED,))
SHORT_ROW = replace(
    PARKS, short="job", queue="openai.batch", options=CallOptions(job="j1"), not_before={"openai": in_ms(9_000)}
)

FAILED: list[tuple[str, Record, Snapshot, dict[str, Any], Move]] = [
    ("on to the next", RUNS, seen(), {"failed_at": "ollama"}, To("openai", "next")),
    ("back to a half-open primary", replace(RUNS, provider="openai"), seen(ollama=half_open(1)),
     {"failed_at": "openai"}, To("ollama", "next")),
    ("after all were tried a new round, both left alone for 2 s", replace(RUNS, tried=frozenset({"ollama"})), seen(),
     {"failed_at": "openai"}, Park(2_000, {"ollama": 2_000, "openai": 2_000})),
    ("the third round waits 8 s", replace(RUNS, tried=frozenset({"ollama"}), rounds=2), seen(),
     {"failed_at": "openai"}, Park(8_000, {"ollama": 8_000, "openai": 8_000})),
    ("no round that would begin after the deadline", replace(RUNS, tried=frozenset({"ollama"}), rounds=4), seen(),
     {"failed_at": "openai"}, End(Reason.NO_PROVIDER)),
    ("looked at again, where those that were tried have no workers at the moment", RUNS, NONE_LIVE,
     {"failed_at": "ollama"}, Park(2_000)),
    ("a new round of the one that has workers", RUNS, seen(openai=DEAD),
     {"failed_at": "ollama"}, Park(2_000, {"ollama": 2_000})),
    ("a new round rather than waiting for a paid one that is out for long", RUNS, seen(openai=out(200_000)),
     {"failed_at": "ollama"}, Park(2_000, {"ollama": 2_000})),
    ("the next as soon as it may be asked, the failed one after its pause", RUNS, seen(openai=paused(1_500)),
     {"failed_at": "ollama"}, Park(1_500, {"ollama": 2_000})),
    ("the fallback anew while the primary stays out", replace(RUNS, provider="openai"), seen(ollama=out(60_000)),
     {"failed_at": "openai"}, Park(2_000, {"openai": 2_000})),
    ("a free one that is out is waited for, not asked", replace(RUNS, options=NEVER), seen(ollama=out(200_000)),
     {"failed_at": "ollama"}, Park(2_000, {"ollama": 2_000})),
    ("no waiting for what a human must mend", replace(RUNS, options=NEVER), seen(ollama=out(300_000, "auth")),
     {"failed_at": "ollama"}, End(Reason.NO_PROVIDER)),
    ("a deferring call asks the free one again before it pays", replace(RUNS, options=DEFER), seen(),
     {"failed_at": "ollama"}, Park(2_000, {"ollama": 2_000})),
    ("a deferring call pays near the deadline",
     replace(RUNS, options=DEFER, created=NOW - 23_000, deadline=NOW + 7_000), seen(),
     {"failed_at": "ollama"}, To("openai", "next")),
    ("to its end after eight requests", replace(RUNS, requests=8), seen(),
     {"failed_at": "ollama"}, End(Reason.NO_PROVIDER)),
    ("to its end with too little time for another request", replace(RUNS, deadline=NOW + 299), seen(),
     {"failed_at": "ollama"}, End(Reason.DEADLINE)),
    ("to its end at the deadline", replace(RUNS, deadline=NOW), seen(), {"failed_at": "ollama"}, End(Reason.DEADLINE)),
]  # fmt: skip


@pytest.mark.parametrize(("what", "record", "state", "given", "expected"), FAILED, ids=[row[0] for row in FAILED])
def test_a_call_that_failed_goes(
    what: str, record: Record, state: Snapshot, given: dict[str, Any], expected: Move
) -> None:
    assert move(record, state, **given) == expected


UNPARKED: list[tuple[str, Record, Snapshot, Move]] = [
    ("to whoever can take it", PARKS, seen(), To("ollama", "first")),
    ("not to one that was tried", replace(PARKS, tried=frozenset({"ollama"})), seen(), To("openai", "next")),
    ("not before the ledger's time", replace(PARKS, not_before={"ollama": NOW + 900}), seen(), To("openai", "next")),
    ("on waiting until the earliest", replace(PARKS, options=NEVER), seen(ollama=out(60_000)), Park(2_000)),
    ("not beyond its deadline at a provider that asks for more time", replace(PARKS, options=NEVER),
     seen(ollama=paused(86_400_000)), End(Reason.NO_PROVIDER)),
    ("soon again where an operator paused the queue, and may resume it", replace(PARKS, options=NEVER),
     seen(ollama=paused(86_400_000, "maintenance")), Park(2_000)),
    ("on waiting at least a moment", replace(PARKS, options=NEVER), seen(ollama=out(1)), Park(300)),
    ("on waiting where nobody works", PARKS, NONE_LIVE, Park(2_000)),
    ("on waiting until the deadline at most", replace(PARKS, deadline=NOW + 500), NONE_LIVE, Park(500)),
    ("to its end where the earliest is past the deadline", replace(PARKS, options=NEVER),
     seen(ollama=out(60_000, "auth")), End(Reason.NO_PROVIDER)),
    ("on waiting for the time to pay", replace(PARKS, options=DEFER), seen(ollama=out(90_000, "auth")), Park(22_500)),
    ("soon after one whose workers are away", replace(PARKS, options=DEFER), seen(ollama=DEAD), Park(2_000)),
    ("a budget denied the paid one: the free one alone", SHORT, seen(), To("ollama", "next")),
    ("the free one, which had failed, anew", replace(SHORT, tried=frozenset({"ollama"})), seen(),
     Park(2_000, {"ollama": 2_000})),
    ("the free one as soon as it may be back", SHORT, seen(ollama=out(60_000)), Park(2_000)),
    ("an error that says so where no free one is left", replace(SHORT, tried=frozenset({"ollama"}), rounds=4), seen(),
     End(Reason.BUDGET)),
    ("the same at the deadline, for it waited in vain", replace(SHORT, deadline=NOW), seen(), End(Reason.BUDGET)),
    ("what ran out of time at the free one did so", replace(SHORT, state=RUNNING, deadline=NOW), seen(),
     End(Reason.DEADLINE)),
    ("a batch row waits until the budget may have room", replace(SHORT_ROW, tried=frozenset({"ollama"})),
     seen(ollama=out(60_000)), Park(2_000, {"ollama": 2_000})),
    ("a batch row asks the paid one again after its wait", replace(SHORT_ROW, not_before={}, deadline=in_ms(1_000)),
     seen(ollama=out(60_000)), To("openai", "next")),
]  # fmt: skip


@pytest.mark.parametrize(("what", "record", "state", "expected"), UNPARKED, ids=[row[0] for row in UNPARKED])
def test_a_parked_call_goes(what: str, record: Record, state: Snapshot, expected: Move) -> None:
    assert move(record, state) == expected


LONG = replace(WAITS, left=frozenset({"ollama"}), provider="openai", queue="openai")
QUEUES: list[tuple[str, Record, Snapshot, Move]] = [
    ("where it is the best choice", WAITS, seen(), Stay()),
    ("where nobody can take it", WAITS, NONE_LIVE, Stay()),
    ("where it is out and nobody else may answer", replace(WAITS, options=NEVER), seen(ollama=out(9)), Stay()),
    ("until it is to pay", replace(WAITS, options=DEFER), seen(), Stay(look_ms=22_500)),
    ("to the next for a backlog", WAITS, seen(ollama=deep(400)), To("openai", "too_slow")),
    ("to the next for a queue without workers", WAITS, seen(ollama=DEAD), To("openai", "no_workers")),
    ("to the next for an open breaker", WAITS, seen(ollama=out(9_000)), To("openai", "breaker_open")),
    ("to the next for a pause", WAITS, seen(ollama=paused(9_000)), To("openai", "paused")),
    ("to the paid one near the deadline", replace(WAITS, options=DEFER, created=NOW - 30_000, deadline=NOW + 9_000),
     seen(ollama=deep(400)), To("openai", "too_slow")),
    ("back, when the queue it went to has no workers", LONG, seen(openai=DEAD), To("ollama", "no_workers")),
    ("back, when the queue it went to is too slow", LONG, seen(openai=takes(90_000)), To("ollama", "waited")),
    ("no queue twice for mere waiting", replace(WAITS, left=frozenset({"ollama", "openai"})), seen(ollama=deep(400)),
     Stay()),
    ("but a queue that died it leaves again", replace(WAITS, left=frozenset({"ollama", "openai"})), seen(ollama=DEAD),
     To("openai", "no_workers")),
    ("to its end at the deadline", replace(WAITS, deadline=NOW), seen(), End(Reason.DEADLINE)),
    ("to its end for want of workers", replace(WAITS, deadline=NOW), NONE_LIVE, End(Reason.NO_WORKERS)),
    ("to the deadline's end where somebody had begun it", replace(WAITS, deadline=NOW, first=NOW - 9), NONE_LIVE,
     End(Reason.DEADLINE)),
    ("to the deadline's end where it had moved",
     replace(WAITS, deadline=NOW, attempts=(Attempt(provider="x", what="waited"),)), NONE_LIVE, End(Reason.DEADLINE)),
    ("a batch row where there is only a backlog", replace(WAITS, queue="ollama.batch"), seen(ollama_batch=deep(9_999)),
     Stay()),
    ("a batch row where half-open lets others through", replace(WAITS, queue="ollama.batch"),
     seen(ollama_batch=deep(9), ollama_breaker=half_open(1)), Stay()),
    ("a batch row on for an open breaker", replace(WAITS, queue="ollama.batch"), seen(ollama=out(9_000)),
     To("openai", "breaker_open")),
]  # fmt: skip


@pytest.mark.parametrize(("what", "record", "state", "expected"), QUEUES, ids=[row[0] for row in QUEUES])
def test_a_queued_call_stays_or_goes(what: str, record: Record, state: Snapshot, expected: Move) -> None:
    assert move(record, state) == expected


def test_a_call_whose_worker_died_may_go_to_the_same_provider() -> None:
    assert move(RUNS) == To("ollama", "first")


def test_what_an_attempt_has_shown_holds_for_every_later_choice() -> None:
    out_of_quota = replace(RUNS, attempts=(Attempt(provider="openai", what="quota"),))
    assert move(out_of_quota, failed_at="openai") == To("ollama", "next")
    assert move(out_of_quota, failed_at="ollama") == Park(2_000, {"ollama": 2_000})
    too_long = replace(RUNS, attempts=(Attempt(provider="ollama", what="context_too_long"),))
    assert move(too_long, failed_at="ollama") == To("openai", "next")
    assert move(replace(too_long, state=PARKED, provider="ollama", tried=frozenset())) == To("openai", "next")
    for_all = replace(RUNS, attempts=(Attempt(provider="openai", what="context_too_long"),))
    assert move(for_all, failed_at="openai") == End(Reason.NO_PROVIDER)


def test_with_a_third_provider_each_is_tried_before_any_is_asked_again() -> None:
    record = RUNS
    order: list[str] = []
    for _ in range(3):
        provider = "ollama" if not order else order[-1]
        moved = next_move(record, THREE, seen(), failed_at=provider)
        record = replace(record, tried=record.tried | {provider})
        if isinstance(moved, To):
            order.append(moved.provider)
    assert order == ["vllm", "openai"]
    assert moved == Park(2_000, {"ollama": 2_000, "vllm": 2_000, "openai": 2_000})


@pytest.mark.parametrize("options", [CallOptions(), NEVER, DEFER, CallOptions(local_only=True), CallOptions(only="x")])
def test_what_a_record_allows_is_what_its_caller_said(options: CallOptions) -> None:
    policy = policy_of(replace(RUNS, options=options, queue="ollama.batch"), (OLLAMA, OPENAI))
    assert policy.spend == (options.spend or Spend.ALLOW)
    assert (policy.local_only, policy.only) == (options.local_only, options.only)
    assert (policy.kind, policy.batch, policy.total_ms) == ("moderation", True, 30_000)
