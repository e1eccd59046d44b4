"""Traces of a whole installation, as a collector gets them from the processes of bots and workers."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.collector import Collector, one
from tests.support.plain_call import plain_call
from tests.support.polling import aeventually
from tests.support.stack import Stack
from tests.support.worker import ROOT, Worker
from understudy import tracing
from workers.stand_in import Fate

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from tests.support.collector import Seen
    from workers.local_redis import Flavour

PHRASE = "quantum marmalade beneath the stairs"
OUT = Fate(status=500)
SETTINGS = {
    "UNDERSTUDY_LOG": "json",
    "UNDERSTUDY_TOOLS": "tests.support.sample_tools",
    "UNDERSTUDY_SHUTDOWN_GRACE_S": "2",
}
MODERATION: dict[str, Any] = {"kind": "moderation", "request": {"text": f"hello, {PHRASE}"}, "user_id": "4711"}


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with Collector() as collector:
        yield collector


@pytest.fixture(scope="module")
def module_stack(
    tmp_path_factory: pytest.TempPathFactory, redis_flavour: Flavour, collector: Collector
) -> Iterator[Stack]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        patch.setenv("OTEL_BSP_SCHEDULE_DELAY", "100")
        with Stack(tmp_path_factory.mktemp("tracing"), redis_flavour, settings=SETTINGS) as stack:
            yield stack
        tracing.stop(1)  # of the clients in this process


@pytest.fixture
async def stack(module_stack: Stack, request: pytest.FixtureRequest) -> AsyncIterator[Stack]:
    await module_stack.renew()
    with module_stack.shown_on_failure(request.session):
        yield module_stack


async def asked(stack: Stack, mode: str, *questions: dict[str, Any]) -> list[dict[str, Any]]:
    """What a bot in a process of its own was told."""
    command = [sys.executable, "-m", "tests.support.traced_bot", mode, *map(json.dumps, questions)]
    environment = {**os.environ, **stack.environment, "PYTHONPATH": str(ROOT)}
    pipe = asyncio.subprocess.PIPE
    bot = await asyncio.create_subprocess_exec(*command, env=environment, stdout=pipe, stderr=pipe, cwd=stack.directory)
    out, errors = await asyncio.wait_for(bot.communicate(), 60)
    assert bot.returncode == 0, errors.decode()
    return [json.loads(line) for line in out.splitlines()]


async def traced(collector: Collector, call_id: str, *names: str) -> list[Seen]:
    """The spans of a call's trace, once these are among them."""

    def found() -> list[Seen]:
        spans = collector.of_call(call_id)
        missing = set(names) - {span.name for span in spans}
        assert not missing, f"{missing} not among {sorted(span.name for span in spans)}"
        return spans

    return await aeventually(found)


def lines_of(stack: Stack, call_id: str) -> list[dict[str, Any]]:
    """What the workers logged of a call."""
    lines = [line for worker in stack.workers.values() for line in worker.text().splitlines()]
    found = [json.loads(line) for line in lines if line.startswith("{")]
    return [line for line in found if line.get("call") == call_id]


async def test_one_trace_leads_from_the_bots_own_span_over_a_fallback_to_the_answer(
    stack: Stack, collector: Collector
) -> None:
    stack.ollama.set_fate(OUT)
    (said,) = await asked(stack, "own", MODERATION)
    assert said["provider"] == "openai"
    names = ("update", "call moderation", "send ollama", "process ollama", "send openai", "process openai")
    spans = await traced(collector, said["id"], *names, "chat gpt-stand-in", "chat llama3.2")
    assert len({span.trace_id for span in spans}) == 1
    update, call, send, first, again, second = (one(spans, name) for name in names)
    asked_twice = [span for span in spans if span.name == "chat llama3.2"]
    answered = one(spans, "chat gpt-stand-in")

    assert (update.parent_id, call.parent_id) == ("", update.span_id)
    assert (send.parent_id, first.parent_id) == (call.span_id, send.span_id)
    assert (again.parent_id, second.parent_id) == (call.span_id, again.span_id)
    assert {span.parent_id for span in asked_twice} == {first.span_id}
    assert answered.parent_id == second.span_id
    kinds = [span.kind for span in (call, send, first, *asked_twice, again, second, answered)]
    assert kinds == ["CLIENT", "PRODUCER", "CONSUMER", "CLIENT", "CLIENT", "PRODUCER", "CONSUMER", "CLIENT"]
    assert collector.paths == {"/v1/traces"}
    assert {first.service, second.service} == {"understudy-worker"}

    assert first.failed
    assert first.attributes["understudy.outcome"] == first.attributes["error.type"] == "server_error"
    assert first.attributes["understudy.attempt"] == 1
    assert first.event("fallback") == {
        "understudy.from": "ollama",
        "understudy.to": "openai",
        "understudy.why": "server_error",
        "understudy.why.words": "server error (HTTP 500 server_error)",
    }
    for refused in asked_twice:
        assert refused.failed
        assert refused.attributes["error.type"] == "server_error"
        assert refused.attributes["http.response.status_code"] == 500
    assert (second.attributes["understudy.attempt"], second.attributes["understudy.outcome"]) == (2, "answered")
    assert second.attributes["understudy.queue_wait_ms"] >= 0
    assert second.attributes["messaging.destination.name"] == "openai"
    assert (call.attributes["understudy.provider"], call.attributes["understudy.attempts"]) == ("openai", 2)
    about = answered.attributes
    assert (about["gen_ai.operation.name"], about["gen_ai.provider.name"]) == ("chat", "openai")
    assert about["gen_ai.request.model"] == about["gen_ai.response.model"] == "gpt-stand-in"
    assert about["gen_ai.usage.input_tokens"] > 0
    assert about["gen_ai.usage.output_tokens"] > 0
    assert about["gen_ai.response.finish_reasons"] == ["stop"]
    assert not {"gen_ai.input.messages", "gen_ai.output.messages"} & set(about)

    (line,) = [line for line in lines_of(stack, said["id"]) if line["event"] == "call falls back"]
    assert (line["kind"], line["provider"], line["to"], line["attempt"]) == ("moderation", "ollama", "openai", 1)
    assert line["why"] == "server error (HTTP 500 server_error)"
    assert (line["trace_id"], line["span_id"]) == (first.trace_id, first.span_id)


async def test_a_stream_tells_its_first_token_and_a_tool_its_name_and_nothing_that_was_said(
    stack: Stack, collector: Collector
) -> None:
    stack.ollama.set_fate(Fate(tool_rounds=1, tool_names="clock"))
    message = {"role": "user", "content": f"What time is it? {PHRASE}"}
    request = {"messages": [message], "tools": ["clock"]}
    (said,) = await asked(stack, "plain", {"kind": "agent_turn", "request": request, "stream": True})
    assert said["status"] == "done"
    spans = await traced(collector, said["id"], "call agent_turn", "execute_tool clock", "process ollama")
    attempt, tool = one(spans, "process ollama"), one(spans, "execute_tool clock")
    requests = [span for span in spans if span.name == "chat llama3.2"]
    assert len(requests) == 2
    for asking in requests:
        assert asking.parent_id == attempt.span_id
        assert asking.event("first_token") == {}
        assert asking.attributes["gen_ai.response.time_to_first_chunk"] >= 0
        assert asking.attributes["gen_ai.request.stream"] is True
    assert tool.parent_id == attempt.span_id
    assert tool.attributes["gen_ai.operation.name"] == "execute_tool"
    assert one(spans, "call agent_turn").service == "understudy-bot"


async def test_a_call_that_another_process_finds_and_sends_on_stays_in_its_trace(
    stack: Stack, collector: Collector
) -> None:
    stack.workers["ollama"].freeze()
    async with stack.client() as llm:
        call = await llm.submit("moderation", MODERATION["request"])
        assert (await call).provider == "openai"
    spans = await traced(collector, call.id, "recover moderation", "process openai", "call moderation")
    assert len({span.trace_id for span in spans}) == 1
    asking, recover = one(spans, "call moderation"), one(spans, "recover moderation")
    again = one(spans, "send openai")
    assert {recover.parent_id, again.parent_id} == {asking.span_id}
    assert recover.event("fallback")["understudy.why"] == "no_workers"
    (line,) = [line for line in lines_of(stack, call.id) if line["event"] == "call falls back"]
    assert line["why"] == "no worker consumes its queue"
    assert line["trace_id"] == asking.trace_id


@pytest.mark.parametrize("given", ["00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", None])
async def test_a_plain_callers_trace_goes_on_over_a_fallback(
    stack: Stack, collector: Collector, given: str | None
) -> None:
    stack.ollama.set_fate(OUT)
    headers = {"traceparent": given} if given else {}
    call_id, outcome = await asyncio.to_thread(plain_call, stack, PHRASE, "ollama", **headers)
    assert outcome["provider"] == "openai"
    spans = await traced(collector, call_id, "process ollama", "send openai", "process openai")
    first, again, second = (one(spans, name) for name in ("process ollama", "send openai", "process openai"))
    assert len({span.trace_id for span in spans}) == 1
    if given:
        assert first.trace_id == given.split("-")[1]
        assert first.parent_id == again.parent_id == given.split("-")[2]
    else:
        assert (first.parent_id, again.parent_id) == ("", first.span_id)
    assert second.parent_id == again.span_id


async def test_nothing_that_a_user_wrote_and_no_user_is_in_any_span_or_log(stack: Stack, collector: Collector) -> None:
    stack.ollama.set_fate(Fate(answer="not_json"))
    (said,) = await asked(stack, "own", MODERATION)
    await traced(collector, said["id"], "process openai")
    assert [span.name for span in collector.spans if span.name.startswith("chat ") and not span.parent_id] == []
    everything = b"".join(collector.raw)
    assert len(collector.spans) > 20
    for text in (PHRASE, "4711", "sk-made-up"):
        assert text.encode() not in everything
        assert text not in "".join(worker.text() for worker in stack.workers.values())


async def test_a_worker_that_ends_sends_what_it_has_left(
    stack: Stack, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "600000")
    late = Worker(stack.directory, "late", "openai.batch", 4, stack.environment)
    late.start()
    try:
        call_id, _ = await asyncio.to_thread(plain_call, stack, PHRASE, "openai.batch")
        assert not collector.of_call(call_id)
        late.terminate()
        assert await late.ended() == 0
    finally:
        late.kill()
    spans = await traced(collector, call_id, "process openai.batch", "chat gpt-stand-in")
    assert one(spans, "process openai.batch").parent_id == ""


async def test_a_collector_that_never_answers_or_is_away_costs_no_call_and_no_worker_its_end(
    stack: Stack, collector: Collector
) -> None:
    collector.answers.clear()
    await all_answered(stack)
    stack.workers["openai"].terminate()
    assert await stack.workers["openai"].ended() == 0
    collector.close()
    await all_answered(stack)
    (said,) = await asked(stack, "plain", MODERATION)
    assert said["status"] == "done"
    stack.workers["ollama"].terminate()
    assert await stack.workers["ollama"].ended() == 0


async def all_answered(stack: Stack) -> None:
    """Ask often, from a client that traces too."""
    async with stack.client() as llm:
        calls = [await llm.submit("moderation", MODERATION["request"]) for _ in range(60)]
        outcomes = await asyncio.gather(*calls)
    assert {(outcome.status.value, outcome.provider) for outcome in outcomes} == {("done", "ollama")}
