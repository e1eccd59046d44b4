"""What the ledger reserves before anybody has built the prompt is never less than what the prompt can cost."""

from __future__ import annotations

import json
import unicodedata
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

import tasks.agent_turn
import tasks.moderation
import tasks.thread_naming  # noqa: F401 - importing them registers their kinds
from tests.support.ledger import Drive
from tests.support.stack import PRICE
from understudy.contracts import KINDS
from understudy.contracts.call import Usage
from understudy.pricing import max_cost_microusd, priced
from understudy.providers import providers_from
from understudy.settings import load_settings
from understudy.state.transcript import End, Start, Turn, written
from workers.kind_work import work_for
from workers.money import money_for, money_of, prompt_bytes, token_limit
from workers.tool_loop import ToolLoop
from workers.tools import known_names, tool

if TYPE_CHECKING:
    from collections.abc import Iterator

    from redis.asyncio import Redis

    from understudy.providers import Provider
    from workers.kind_work import Prompt

SETTINGS = load_settings(
    env_file=None, openai_api_key="sk", openai_model_name="m", understudy_prices=json.dumps({"m": PRICE})
)
(_, PAID) = priced(providers_from(SETTINGS), SETTINGS)

HIDDEN = "".join(chr(code) for code in range(0x110000) if unicodedata.category(chr(code)) in ("Cf", "Cc", "Zl", "Zp"))
TEXTS = {
    "plain words": "hello there, how are you?",
    "marks": "<<<<[[[[]]]]>>>>" * 50,
    "escapes": '"\\\n\t' * 200,
    "hidden": "x" + HIDDEN,
    "private": "x" + "\ue000\U000f0000\U0010fffd" * 100,
    "emoji": "\U0001f600" * 300,
    "Cyrillic": "привет " * 100,
    "lines": "a\n" * 900,
    "deletes": "x" + "\x7f" * 500,
}
TOOLS = [
    {"name": "weather", "description": 'Says "how" it is.', "parameters": {"type": "object", "properties": {"at": {}}}},
    {"name": "b"},
    "clock_of_the_test",
]


def clock_of_the_test(place: str) -> str:
    """Tells the time at a place."""
    return place


@pytest.fixture(autouse=True, scope="module")
def clock() -> None:
    if clock_of_the_test.__name__ not in known_names():
        tool(clock_of_the_test)


def requests(text: str) -> Iterator[tuple[str, dict[str, Any]]]:
    say = {"role": "user", "content": text}
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": json.dumps({"q": text})}}
    yield "moderation", {"text": text}
    yield "moderation", {"text": text, "rules": text, "author": "Ann <1>", "reply_to": text, "chat_title": "[x]"}
    yield "thread_naming", {"first_message": text, "language": "German"}
    yield "agent_turn", {"messages": [say]}
    yield "agent_turn", {"messages": [{"role": "user", "content": "."}] * 200 + [say], "max_tokens": 9_999}
    called = {"role": "assistant", "tool_calls": [call]}
    answered = {"role": "tool", "tool_call_id": "c1", "content": text}
    yield "agent_turn", {"messages": [say, called, answered], "system": text, "tools": TOOLS}


async def reserved(redis: Redis, kind: str, request: str, steps: list[str] | None = None) -> int:
    drive = Drive(redis)
    sent = (await drive.open(kind=kind, request=request, provider="openai", queue="openai")).number("sent")
    if steps:
        rows: dict[Any, Any] = {f"step:{n}": row for n, row in enumerate(steps, 1)}
        await redis.hset(drive.keys.call("c1"), mapping={"steps": len(steps), **rows})
    run = await drive.begin(provider="openai", sent=sent, money=money_of(kind, PAID, SETTINGS))
    return run.number("reserved")


def can_cost(prompt: Prompt, provider: Provider = PAID) -> int:
    assert provider.price is not None
    return max_cost_microusd(provider.price, prompt_bytes(prompt), token_limit(prompt, provider, SETTINGS) or 0)


@pytest.mark.parametrize("name", TEXTS)
async def test_a_prompt_costs_no_more_than_its_reservation(redis: Redis, name: str) -> None:
    for kind, fields in requests(TEXTS[name]):
        request = KINDS[kind].parse(fields)
        work = work_for(kind)
        offer = work.offer(request) if work.offer else None
        run = cast("Any", SimpleNamespace(steps=()))
        prompt = ToolLoop(cast("Any", None), run, offer, work.build(request), cast("Any", None)).prompt
        needed = can_cost(prompt)
        await redis.flushdb()
        kept = await reserved(redis, kind, request.model_dump_json(exclude_none=True))
        assert needed <= kept, (kind, list(fields), needed, kept)


@pytest.mark.parametrize("name", TEXTS)
async def test_nor_does_a_prompt_with_what_tools_did_before(redis: Redis, name: str) -> None:
    text = TEXTS[name]
    request = KINDS["agent_turn"].parse({"messages": [{"role": "user", "content": "."}], "tools": TOOLS})
    function = {"name": "clock_of_the_test", "arguments": json.dumps({"place": text})}
    steps: list[str] = []
    for n in range(3):
        call = {"id": f"t{n}", "type": "function", "function": function}
        message = {"role": "assistant", "content": text, "tool_calls": [call]}
        rows = (Turn(message, "m", Usage()), Start(f"t{n}", idempotent=True), End(f"t{n}", n > 0, text, "cut" * n))
        steps += [written(row) for row in rows]
    work = work_for("agent_turn")
    assert work.offer is not None
    run = cast("Any", SimpleNamespace(steps=tuple(steps)))
    prompt = ToolLoop(cast("Any", None), run, work.offer(request), work.build(request), cast("Any", None)).prompt
    assert len(prompt.messages) == 7
    kept = await reserved(redis, "agent_turn", request.model_dump_json(exclude_none=True), steps)
    assert can_cost(prompt) <= kept


async def test_a_short_message_reserves_little(redis: Redis) -> None:
    request = KINDS["moderation"].parse({"text": "hello"})
    needed = can_cost(work_for("moderation").build(request))
    kept = await reserved(redis, "moderation", request.model_dump_json(exclude_none=True))
    assert needed <= kept <= 1.5 * needed


def test_a_paid_answer_always_has_a_token_limit() -> None:
    for kind, fields in (("agent_turn", {"messages": [{"role": "user", "content": "."}]}),):
        prompt = work_for(kind).build(KINDS[kind].parse(fields))
        money = money_for(prompt, PAID, SETTINGS)
        assert money is not None
        assert money.max_tokens == token_limit(prompt, PAID, SETTINGS) == 4096
        assert token_limit(prompt, providers_from(SETTINGS)[0], SETTINGS) is None
        assert money_for(prompt, providers_from(SETTINGS)[0], SETTINGS) is None
