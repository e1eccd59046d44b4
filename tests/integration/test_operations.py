"""What operators do: each action is checked, carried out once, and noted with who did it and why."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.health import OLLAMA, OPENAI
from tests.support.ledger import Drive
from tests.support.operating import operating
from understudy.contracts.call import Attempt
from understudy.errors import InvalidRequest, UnknownCall
from understudy.redis_client import now_ms
from understudy.state.audit import Audit
from understudy.state.health import Health
from understudy.state.keys import AUDIT_MS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from redis.asyncio import Redis

    from understudy.state.health import Snapshot
    from understudy.state.operations import Operations

BY: dict[str, Any] = {"who": "ann", "why": "maintenance"}
PRICES = '{"m": {"input": 1, "output": 2, "date": "2026-11-01"}}'

ACTIONS: dict[str, Callable[[Operations, dict[str, Any]], Awaitable[object]]] = {
    "force": lambda operations, by: operations.force("openai", for_s=60, **by),
    "unforce": lambda operations, by: operations.unforce(**by),
    "clear": lambda operations, by: operations.clear("ollama", **by),
    "pause": lambda operations, by: operations.pause("ollama", for_s=60, **by),
    "resume": lambda operations, by: operations.resume("ollama", **by),
    "cancel": lambda operations, by: operations.cancel("c1", **by),
    "retry": lambda operations, by: operations.rerun("c1", **by),
    "retry cause": lambda operations, by: operations.rerun_cause("deadline", **by),
}


async def seen(drive: Drive) -> Snapshot:
    return await Health(drive.redis, drive.keys, (OLLAMA, OPENAI)).snapshot()


async def noted(operations: Operations) -> list[tuple[str, str, str]]:
    return [(entry.who, entry.what, entry.why) for entry in await operations.audit.entries()]


async def failed(drive: Drive, call_id: str, reason: str = "no_provider", **more: Any) -> None:
    run = await drive.begin(call_id, sent=(await drive.open(call_id, **more)).number("sent"))
    await drive.finish(
        run, call_id, st="F", reason=reason, outcome="", attempt=Attempt(provider="ollama", what="reset")
    )


async def test_a_provider_is_forced_and_the_force_taken_back(redis: Redis) -> None:
    drive = Drive(redis)
    operations = operating(drive)
    await operations.force("openai", who="ann", why="a  new\nmodel", for_s=1_800)
    forced = (await seen(drive)).forced
    assert forced is not None
    assert (forced.provider, forced.who, forced.why) == ("openai", "ann", "a new model")
    assert 1_790_000 < forced.left_ms <= 1_800_000
    assert [await operations.unforce(**BY) for _ in range(2)] == [True, False]
    assert (await seen(drive)).forced is None
    assert await noted(operations) == [("ann", "unforce", "maintenance"), ("ann", "force openai 30m", "a new model")]


async def test_nothing_begins_on_a_paused_queue_until_it_is_resumed(redis: Redis) -> None:
    drive = Drive(redis)
    operations = operating(drive)
    await operations.pause("ollama", for_s=7_200, **BY)
    queue = (await seen(drive)).queue("ollama")
    assert (queue.paused_why, queue.paused_ms > 7_190_000) == ("maintenance", True)
    assert (await seen(drive)).queue("ollama.batch").paused_ms == 0
    sent = (await drive.open()).number("sent")
    assert (await drive.begin(sent=sent)).word == "denied"
    assert [await operations.resume("ollama", **BY) for _ in range(2)] == [True, False]
    assert (await drive.begin("c2", sent=(await drive.open("c2")).number("sent"))).word == "run"
    assert [what for _, what, _ in await noted(operations)] == ["resume ollama", "pause ollama 2h"]


async def test_a_rate_limit_does_not_shorten_an_operators_pause(redis: Redis) -> None:
    drive = Drive(redis)
    run = await drive.begin(sent=(await drive.open()).number("sent"))
    await operating(drive).pause("ollama", for_s=600, **BY)
    limited = drive.report(run, "none", why="rate_limited", pause_ms=2_000, queues=["ollama", "ollama.batch"])
    await drive.ledger.report("c1", limited)
    queue = (await seen(drive)).queue("ollama")
    assert (queue.paused_why, queue.paused_ms > 590_000) == ("maintenance", True)


async def test_health_is_cleared_of_one_provider_or_of_all(redis: Redis) -> None:
    drive = Drive(redis)
    operations = operating(drive)
    for name in ("ollama", "openai"):
        await redis.hset(drive.keys.breaker(name, "m"), mapping={"state": "open", "until": "9" * 13, "why": "refused"})
    await operations.pause("ollama", for_s=60, **BY)
    await operations.clear("ollama", **BY)
    after = await seen(drive)
    assert (after.breaker("ollama").state, after.breaker("openai").state) == ("closed", "open")
    assert after.queue("ollama").paused_ms == 0
    await operations.clear(None, **BY)
    assert (await seen(drive)).breaker("openai").state == "closed"
    assert [what for _, what, _ in await noted(operations)][:3] == ["clear openai", "clear ollama", "clear ollama"]


async def test_a_call_is_cancelled_once_and_an_ended_one_says_how_it_ended(redis: Redis) -> None:
    drive = Drive(redis)
    operations = operating(drive)
    await drive.open()
    assert [await operations.cancel("c1", **BY) for _ in range(2)] == ["X", "X"]
    run = await drive.begin("c2", sent=(await drive.open("c2")).number("sent"))
    await drive.finish(run, "c2")
    assert await operations.cancel("c2", **BY) == "D"
    assert await noted(operations) == [("ann", "cancel c1", "maintenance")]
    with pytest.raises(UnknownCall, match="No call has this id"):
        await operations.cancel("unknown", **BY)


async def test_the_calls_of_a_cause_run_again_and_no_others(redis: Redis) -> None:
    drive = await Drive(redis).ticking()
    operations = operating(drive)
    for i in range(450):
        await failed(drive, f"c{i}")
    await failed(drive, "other", "rejected")
    told: list[tuple[int, int]] = []
    again = await operations.rerun_cause("no_provider", progress=lambda done, of: told.append((done, of)), **BY)
    assert (again, told) == (450, [(200, 450), (400, 450), (450, 450)])
    assert {await drive.state(f"c{i}") for i in range(450)} == {"P"}
    assert await drive.state("other") == "F"
    assert [(cause.reason, cause.calls) for cause in await operations.ended.causes()] == [("rejected", 1)]
    assert await noted(operations) == [("ann", "retry cause no_provider (450 calls)", "maintenance")]
    assert await operations.rerun_cause("no_provider", **BY) == 0
    assert len(await noted(operations)) == 1


async def test_those_that_failed_after_they_were_counted_do_not_run_again(redis: Redis) -> None:
    drive = await Drive(redis).ticking()
    operations = operating(drive)
    await failed(drive, "seen")
    await asyncio.sleep(0.002)  # the moment is told in milliseconds
    moment = await now_ms(redis)
    await failed(drive, "later")
    assert await operations.ended.ids("no_provider", moment) == ["seen"]
    assert await operations.rerun_cause("no_provider", before_ms=moment, **BY) == 1
    assert (await drive.state("seen"), await drive.state("later")) == ("P", "F")


async def test_a_limit_takes_the_newest_calls(redis: Redis) -> None:
    drive = await Drive(redis).ticking()
    operations = operating(drive)
    for i in range(3):
        await failed(drive, f"c{i}")
        drive.shift += 10
    assert await operations.rerun_cause("no_provider", limit=2, **BY) == 2
    assert [await drive.state(f"c{i}") for i in range(3)] == ["F", "P", "P"]
    assert await operations.rerun_cause("no_provider", limit=5, **BY) == 1
    assert (await noted(operations))[0][1] == "retry cause no_provider (1 call)"


async def test_a_single_call_is_noted_by_its_id(redis: Redis) -> None:
    drive = Drive(redis)
    await failed(drive, "c1")
    operations = operating(drive)
    assert await operations.rerun("c1", **BY)
    assert await noted(operations) == [("ann", "retry c1", "maintenance")]


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("who", "", "who must be text of 1 to 200 characters"),
        ("why", " \n ", "why must be text of 1 to 200 characters"),
        ("why", None, "why must be text of 1 to 200 characters"),
        ("why", "x" * 201, "why has 201 characters; at most 200 are allowed"),
    ],
)
async def test_who_and_why_are_asked_for_before_anything_is_done(
    redis: Redis, action: str, field: str, value: object, says: str
) -> None:
    operations = operating(Drive(redis))
    with pytest.raises(InvalidRequest, match=says):
        await ACTIONS[action](operations, BY | {field: value})
    assert await redis.keys("*") == []


@pytest.mark.parametrize(
    ("action", "says"),
    [
        (lambda o: o.force("gone", for_s=60, **BY), r"force: there is no provider 'gone'; the providers are ollama"),
        (lambda o: o.clear("gone", **BY), "clear: there is no provider 'gone'"),
        (
            lambda o: o.pause("gone", for_s=60, **BY),
            "pause: there is no queue 'gone'; the queues are ollama, ollama.batch",
        ),
        (lambda o: o.resume("gone", **BY), "resume: there is no queue 'gone'"),
        (lambda o: o.force("ollama", for_s=0.5, **BY), "force: for_s is 0.5; 1 to 86400 seconds are allowed"),
        (lambda o: o.pause("ollama", for_s=86_401, **BY), "pause: for_s is 86401; 1 to 86400 seconds"),
        (lambda o: o.pause("ollama", for_s=float("nan"), **BY), "pause: for_s is nan; 1 to 86400 seconds"),
    ],
)
async def test_what_cannot_be_done_is_refused_with_the_field_and_the_limit(
    redis: Redis, action: Callable[[Operations], Awaitable[object]], says: str
) -> None:
    with pytest.raises(InvalidRequest, match=says):
        await action(operating(Drive(redis)))
    assert await redis.keys("*") == []


async def test_a_repeated_command_is_noted_once(redis: Redis) -> None:
    drive = Drive(redis)
    operations = operating(drive)
    entry = {"who": "ann", "what": "unforce", "why": "done", "token": "t"}
    await operations.force("openai", for_s=60, **BY)
    replies = [await operations.lua("control", key="forced", audit=entry) for _ in range(2)]
    assert replies == [["gone"], ["gone"]]
    assert [what for _, what, _ in await noted(operations)] == ["unforce", "force openai 1m"]


async def test_the_log_is_read_newest_first_and_kept_for_long(redis: Redis) -> None:
    drive = Drive(redis)
    audit = Audit(redis, drive.keys)
    assert await audit.entries() == []
    for i in range(3):
        await audit.write(who="ann", what=f"action {i}", why="to see")
    entries = await audit.entries(2)
    assert [entry.what for entry in entries] == ["action 2", "action 1"]
    assert abs(entries[0].at_ms - await drive.now()) < 60_000
    assert AUDIT_MS - 60_000 < await redis.pttl(drive.keys.audit()) <= AUDIT_MS


async def test_running_again_costs_at_most_what_paid_answers_cost(redis: Redis) -> None:
    drive = Drive(redis)
    await failed(drive, "c1")
    await failed(drive, "c2")
    await failed(drive, "never", opts='{"spend":"never"}')
    await failed(drive, "local", opts='{"local_only":true}')
    await failed(drive, "elsewhere", opts='{"only":"ollama"}')
    await failed(drive, "limited", opts='{"max_cost_microusd":7}')
    await failed(drive, "unreadable", request='{"nothing":1}')
    operations = operating(drive, understudy_prices=PRICES, openai_model_name="m")
    each = await operations.worst_cost(["c1"])
    assert each > 2_000  # at least an answer of its whole limit: 1,024 tokens, two micro-dollars each
    assert await operations.worst_cost(["c1", "c2"]) == 2 * each
    assert await operations.worst_cost(["c1", "never", "local", "elsewhere", "unreadable", "unknown"]) == each
    assert await operations.worst_cost(["limited"]) == 7
    assert await operations.worst_cost([]) == 0


async def test_without_a_paid_provider_running_again_costs_nothing(redis: Redis) -> None:
    drive = Drive(redis)
    await failed(drive, "c1")
    assert await operating(drive, [OLLAMA]).worst_cost(["c1"]) == 0
    # a paid one that no worker would ask, for it has no price
    assert await operating(drive, [OLLAMA, replace(OPENAI, model="no-such-model")]).worst_cost(["c1"]) == 0
