"""The loop over model turns against a real ledger, with a provider that answers by script."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import pytest

import tasks.agent_turn  # noqa: F401 - registers the kind
from bot_client.policy import policy_of as client_policy_of
from bot_client.policy import require_provider
from tests.support.health import OLLAMA, OPENAI, TWO, seen
from tests.support.ledger import Drive
from tests.support.reconciling import Reconciling
from understudy.contracts.agent_turn import KIND, AgentTurnResult
from understudy.contracts.call import Attempt, CallOptions, Usage
from understudy.errors import InvalidRequest
from understudy.moves import policy_of
from understudy.routing import opening
from understudy.state import transcript
from understudy.state.lua import Reply as Granted
from workers import tool_loop, tool_run
from workers.arrival import Arrival
from workers.attempt import Answer, Attempting, Failed
from workers.chat_reply import Reply
from workers.deltas import Deltas
from workers.leases import Lease, LeaseLost
from workers.run import Run
from workers.tools import tool

if TYPE_CHECKING:
    from redis.asyncio import Redis

    from workers.admission import Admission
    from workers.chat import Chat

USER = {"role": "user", "content": "hello"}
LIGHT = {"name": "light", "parameters": {"type": "object"}}
ran: list[str] = []


@tool(name="loop_note", max_output=100_000)
async def note(text: str = "x", times: int = 1) -> str:
    """Note a text."""
    ran.append(text)
    return text * times


class Scripted:
    """A provider that answers with these replies, one after the other."""

    def __init__(self, *replies: Reply) -> None:
        self.replies = list(replies)
        self.prompts: list[tuple[list[dict[str, Any]], Any]] = []

    async def complete(self, _: Any, prompt: Any, *, admission: Admission, **more: Any) -> Reply:
        await admission.admit()
        self.prompts.append((prompt.messages, more.get("tools")))
        return self.replies.pop(0)


def says(text: str = "", *calls: tuple[str, str, str], finish: str | None = None) -> Reply:
    """A reply with text and tool calls (id, name, arguments)."""
    asked = tuple({"id": i, "type": "function", "function": {"name": n, "arguments": a}} for i, n, a in calls)
    usage = Usage(prompt_tokens=10, completion_tokens=1, total_tokens=11)
    finish = finish or ("tool_calls" if calls else "stop")
    return Reply(text, finish, None, asked, usage, "m", 5, 1, 1)


class World:
    """One call with these tools, that a worker has begun."""

    def __init__(self, redis: Redis) -> None:
        self.redis = redis

    async def begun(self, *replies: Reply, **request: Any) -> World:
        """Opened and begun at ollama."""
        self.drive = await Drive(self.redis).ticking()
        self.parts = Reconciling(self.drive)
        self.parts.context.deltas = Deltas(self.redis, self.drive.keys, 100)
        asked = KIND.parse({"messages": [USER], "tools": ["loop_note", LIGHT], **request})
        opened = await self.drive.open(kind="agent_turn", request=asked.model_dump_json(exclude_defaults=True))
        return await self.begin(opened.number("sent"), *replies)

    async def begin(self, sent: int, *replies: Reply, at: str = "ollama") -> World:
        """Begun, first or again."""
        self.chat = Scripted(*replies)
        self.parts.context.chat = cast("Chat", self.chat)
        moment = time.monotonic()
        provider = OLLAMA if at == "ollama" else OPENAI
        reply = await self.drive.begin(provider=at, sent=sent, token=f"at-{at}")
        self.run = Run.of(Arrival("c1", "agent_turn", at, provider, sent, f"at-{at}", None), reply, moment)
        self.lease = Lease("c1", self.run.epoch, self.run.rid, at, "m", renewed=moment)
        return self

    async def go(self) -> Answer | Failed:
        """The attempt."""
        ran.clear()
        return await Attempting(self.parts.context, self.run, self.lease).go()

    async def answered(self) -> AgentTurnResult:
        """The attempt's answer."""
        end = await self.go()
        assert isinstance(end, Answer), end
        assert isinstance(end.result, AgentTurnResult)
        return end.result


@pytest.fixture
def world(redis: Redis) -> World:
    return World(redis)


async def test_each_turn_sees_what_the_tools_said_and_the_usage_is_that_of_all(world: World) -> None:
    await world.begun(says("Hm.", ("a", "loop_note", '{"text":"one"}')), says("Done."))
    end = await world.go()
    assert isinstance(end, Answer)
    assert (ran, end.usage.total_tokens, world.run.requests) == (["one"], 22, 2)
    (first, _), (second, offered) = world.chat.prompts
    assert (first, [message["role"] for message in second]) == ([USER], ["user", "assistant", "tool"])
    assert [each["function"]["name"] for each in offered] == ["loop_note", "light"]


async def test_calls_are_made_such_that_every_provider_takes_them_in_a_history(world: World) -> None:
    calls = [("", "loop_note", ""), ("", "loop_note", "{}"), ("x", "no such!", "[]"), ("x", "", "{}")]
    await world.begun(says("", *calls), says("Done."))
    result = await world.answered()
    made = result.steps[0].tool_calls or ()
    assert [call.id for call in made] == ["call", "call-2", "x", "x-2"]
    assert [call.function.name for call in made] == ["loop_note", "loop_note", "no_such_", "unknown"]
    assert {call.function.arguments for call in made} == {"{}"}
    KIND.parse({"messages": [USER, *result.new_messages, USER]})


async def test_a_call_that_was_cut_off_is_asked_for_again_with_more_room(world: World) -> None:
    await world.begun(says("", ("a", "loop_note", '{"te'), finish="length"), says("Done."))
    assert (await world.answered()).text == "Done."
    assert ran == []


async def test_between_two_turns_the_provider_may_be_denied_and_nothing_is_lost(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.begun(says("", ("a", "loop_note", "{}")))

    async def denied(*_: Any, **__: Any) -> Granted:
        return Granted("denied", {"why": "breaker"})

    monkeypatch.setattr(world.drive.ledger, "again", denied)
    end = await world.go()
    assert isinstance(end, Failed)
    assert (end.what, end.end, ran) == ("denied", None, ["x"])
    begun = Granted("run", {"epoch": world.run.epoch, "turn": world.run.turn})
    moved = await world.drive.fail_over(begun)
    await world.begin(moved.number("sent"), says("Done."), at="openai")
    assert (await world.answered()).text == "Done."
    assert (ran, [message["role"] for message in world.chat.prompts[0][0]]) == ([], ["user", "assistant", "tool"])


async def test_what_redis_has_lost_of_the_steps_is_written_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    await world.begun(says("", ("a", "loop_note", "{}")), says("Done."))
    key, kept = world.drive.keys.call("c1"), tool_run.run

    async def losing(*args: Any) -> Any:
        await world.redis.hdel(key, "steps", "step_bytes", "step:1", "step:2")
        return await kept(*args)

    monkeypatch.setattr(tool_loop, "run", losing)
    assert (await world.answered()).text == "Done."
    record = await world.drive.ledger.record("c1")
    assert record is not None
    assert [type(row).__name__ for row in transcript.read(record.steps)] == ["Turn", "Start", "End"]


async def test_a_call_that_went_on_elsewhere_is_left_alone(world: World) -> None:
    await world.begun(says("", ("a", "loop_note", "{}")))
    await world.redis.hset(world.drive.keys.call("c1"), "epoch", world.run.epoch + 1)
    with pytest.raises(LeaseLost):
        await world.go()
    assert ran == []


async def test_calls_that_are_left_for_the_bot_need_no_further_request(world: World) -> None:
    await world.begun(says("Look:", ("a", "light", "{}"), ("b", "loop_note", "{}")))
    first = await world.answered()
    begun = Granted("run", {"epoch": world.run.epoch, "turn": world.run.turn})
    moved = await world.drive.fail_over(begun)
    await world.begin(moved.number("sent"), at="openai")
    end = await world.go()
    assert isinstance(end, Answer)
    assert (end.result, end.asked, world.chat.prompts, end.model) == (first, False, [], "m")


async def test_outputs_are_cut_to_the_room_that_is_left(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tool_loop, "MAX_BYTES", 10_000)
    monkeypatch.setattr(transcript, "MAX_BYTES", 10_000)
    await world.begun(
        says("", ("a", "loop_note", '{"times": 50000}')), says("", ("b", "loop_note", "{}")), says("Done.")
    )
    result = await world.answered()
    assert "of 50,000 characters" in (result.steps[1].content or "")
    assert len(json.dumps([step.content for step in result.steps])) < 10_000


async def test_a_turn_that_finds_no_room_ends_the_call(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transcript, "MAX_BYTES", 500)
    await world.begun(says("x" * 600, ("a", "loop_note", "{}")))
    end = await world.go()
    assert isinstance(end, Failed)
    assert (end.what, end.end) == ("tools_full", "rejected")


async def test_too_many_calls_at_once_are_asked_for_again(world: World) -> None:
    calls = [(f"c{n}", "loop_note", "{}") for n in range(65)]
    await world.begun(says("", *calls), says("Done."))
    assert (await world.answered()).text == "Done."
    assert "more than 64 tools at once" in world.chat.prompts[1][0][-1]["content"]


async def test_a_call_with_tools_goes_only_where_tools_are_taken(world: World) -> None:
    await world.begun()
    bare = (replace(OLLAMA, tools=False), OPENAI)
    record = await world.drive.ledger.record("c1")
    assert record is not None
    request = KIND.parse(json.loads(record.request))
    for policy in (client_policy_of(KIND, CallOptions(), request), policy_of(record, bare), world.run.policy(bare)):
        assert policy.needs_tools
        assert opening(bare, seen(), policy, deadline_ms=seen().now + 30_000) == "openai"
    refused = replace(record, attempts=(Attempt(provider="ollama", what="no_tools"),))
    assert not policy_of(refused, TWO).allows(OLLAMA)
    with pytest.raises(
        InvalidRequest, match=r"^agent_turn: tools are given, but no provider that may answer takes any\.$"
    ):
        require_provider(bare[:1], client_policy_of(KIND, CallOptions(), request))
