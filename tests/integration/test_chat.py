"""The chat over real sockets: what is sent, what is read, and how it ends."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.chat_parts import (
    GOOD,
    USER_TEXT,
    Ask,
    RawServer,
    answer,
    chunk,
    provider_at,
    stream,
)
from tests.support.polling import aeventually
from understudy.contracts.call import Usage
from workers.failures import ProviderFailure
from workers.stand_in.fate import Fate
from workers.stand_in.server import StandIn

if TYPE_CHECKING:
    from workers.chat import Chat

USAGE = b'data: {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}}\n\n'
SCHEMA = {"type": "json_schema", "json_schema": {"name": "answer", "schema": {"type": "object"}}}


async def test_an_answer_comes_with_text_usage_model_and_times(chat: Chat) -> None:
    pieces: list[str] = []
    first: list[bool] = []
    response = stream(chunk("Hello, "), chunk("world"), chunk(finish="stop"), USAGE, b"data: [DONE]\n\n")
    async with RawServer(lambda _: response) as server:
        reply = await chat.complete(
            provider_at(server.base_url),
            Ask(),
            timeout_s=20,
            on_delta=pieces.append,
            on_first_byte=lambda: first.append(not pieces),
        )
    assert (reply.text, pieces) == ("Hello, world", ["Hello, ", "world"])
    assert first == [True]
    assert (reply.finish_reason, reply.refusal, reply.tool_calls, reply.row) == ("stop", None, (), None)
    assert reply.usage == Usage(prompt_tokens=3, completion_tokens=2, total_tokens=5)
    assert (reply.model, reply.requests) == ("served-model", 1)
    assert reply.ms >= reply.first_byte_ms >= 0


@pytest.mark.parametrize(
    "response",
    [
        stream(chunk("good"), chunk(finish="stop")),
        stream(chunk("good"), chunk(finish="stop"), b"data: [DONE]"),
        stream(chunk("good"), chunk("", finish="stop"), b"data: [DONE]\n\n", b"data: rubbish\n\n"),
        stream(b": a comment\r\n\r\n", chunk("good", finish="stop").replace(b"\n", b"\r\n"), b"data:[DONE]\r\n\r\n"),
        stream(b"event: x\nid: 1\nretry: 5\n", chunk("good", finish="stop"), b"data: [DONE]\n\n"),
        stream(chunk(None, role="assistant"), chunk("good", finish="stop", reasoning="hm")),
        answer(200, {"choices": [{"message": {"content": "good"}, "finish_reason": "stop"}]}),
        answer(200, {"choices": [{"message": {"content": "good"}}]}, "application/json; charset=utf-8"),
    ],
)
async def test_an_answer_is_read_however_loosely_the_server_keeps_to_the_format(chat: Chat, response: bytes) -> None:
    async with RawServer(lambda _: response) as server:
        reply = await chat.complete(provider_at(server.base_url), Ask(), timeout_s=20)
    assert (reply.text, reply.finish_reason) == ("good", "stop")


async def test_a_complete_answer_stands_though_its_stream_never_ends(chat: Chat) -> None:

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(stream(chunk("good"), chunk(finish="stop")))
        await asyncio.Event().wait()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    base_url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    reply = await chat.complete(provider_at(base_url), Ask(), timeout_s=20, first_byte_s=20)
    server.close()
    assert reply.text == "good"


async def test_text_in_any_script_survives_being_cut_anywhere(chat: Chat) -> None:
    text = "Привет, 世界 👋 \u2028 next"
    response = stream(chunk(text).replace(b"\\u2028", "\u2028".encode()), chunk(finish="stop"))
    head, body = response.split(b"\r\n\r\n", 1)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(head + b"\r\n\r\n")
        for byte in body:
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(0)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        base_url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        reply = await chat.complete(provider_at(base_url), Ask(), timeout_s=20)
    assert reply.text == text


async def test_a_character_cut_in_two_by_its_provider_is_put_together(chat: Chat) -> None:
    response = stream(chunk("Hi \ud83d"), chunk("\udc4b, \udc4b"), chunk("!\ud83d"), chunk(finish="stop"))
    pieces: list[str] = []
    async with RawServer(lambda _: response) as server:
        reply = await chat.complete(provider_at(server.base_url), Ask(), timeout_s=20, on_delta=pieces.append)
    assert reply.text == "Hi 👋, \ufffd!"
    assert pieces == ["Hi ", "👋, \ufffd", "!"]


async def test_tool_calls_are_put_together_from_their_pieces(chat: Chat) -> None:
    def piece(index: int, **function: str) -> dict[str, Any]:
        return {"index": index, "function": function}

    response = stream(
        chunk(tool_calls=[{"id": "a", **piece(0, name="look", arguments='{"q"')}]),
        chunk(tool_calls=[piece(0, arguments=": 1}"), {"id": "b", **piece(1, name="stop", arguments="{}")}]),
        chunk(finish="tool_calls"),
    )
    async with RawServer(lambda _: response) as server:
        reply = await chat.complete(provider_at(server.base_url), Ask(), timeout_s=20)
    assert reply.tool_calls == (
        {"id": "a", "type": "function", "function": {"name": "look", "arguments": '{"q": 1}'}},
        {"id": "b", "type": "function", "function": {"name": "stop", "arguments": "{}"}},
    )
    assert reply.row is None


async def test_a_request_carries_the_call_the_key_and_no_more_about_us(
    chat: Chat, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_ORG_ID", "org-secret")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "proj-secret")
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "X-Ambient: ambient-secret\nAuthorization: Bearer ambient-secret")
    async with RawServer(lambda _: GOOD) as server:
        provider = provider_at(server.base_url, reasoning_effort="none")
        asked = Ask(response_format=SCHEMA)
        await chat.complete(provider, asked, timeout_s=20, max_tokens=7, temperature=0.5, call_id="call-1")
        await chat.complete(provider, Ask(), timeout_s=20, probe=True)
    first, second = server.asked
    assert first.body == {
        "model": "llama3.2",
        "messages": [{"role": "user", "content": USER_TEXT}],
        "stream": True,
        "stream_options": {"include_usage": True},
        "max_tokens": 7,
        "temperature": 0.5,
        "reasoning_effort": "none",
        "response_format": SCHEMA,
    }
    assert first.headers["authorization"] == "Bearer sk-test-key"
    assert first.headers["x-understudy-call"] == "call-1"
    assert "x-understudy-probe" not in first.headers
    assert second.headers["x-understudy-probe"] == "1"
    assert "secret" not in first.head


async def test_a_provider_without_a_key_never_gets_that_of_openai(chat: Chat, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-openai")
    async with RawServer(lambda _: GOOD) as server:
        await chat.complete(provider_at(server.base_url, api_key=None), Ask(), timeout_s=20)
    assert "authorization" not in server.asked[0].headers


def refuses(name: str, error: dict[str, Any]) -> Any:
    """A server that answers only requests without that parameter."""
    return lambda asked: answer(400, {"error": error}) if asked.body.get(name) is not None else GOOD


@pytest.mark.parametrize(
    ("name", "error"),
    [
        (
            "max_tokens",
            {"message": "Unsupported parameter: use 'max_completion_tokens' instead.", "param": "max_tokens"},
        ),
        ("temperature", {"message": "Unsupported value", "param": "temperature", "code": "unsupported_value"}),
        ("stream_options", {"message": "Unrecognized request argument supplied: stream_options"}),
        ("reasoning_effort", {"message": "reasoning_effort: extra fields not permitted"}),
    ],
)
async def test_a_parameter_the_server_does_not_know_is_left_out_from_then_on(
    chat: Chat, name: str, error: dict[str, Any]
) -> None:
    async with RawServer(refuses(name, error)) as server:
        provider = provider_at(server.base_url, reasoning_effort="none")
        first = await chat.complete(provider, Ask(), timeout_s=20, max_tokens=9, temperature=0.1)
        second = await chat.complete(provider, Ask(), timeout_s=20, max_tokens=9, temperature=0.1)
    assert (first.text, first.requests) == ("good", 2)
    assert (second.text, second.requests) == ("good", 1)
    token_limits = [asked.body.get("max_tokens") or asked.body.get("max_completion_tokens") for asked in server.asked]
    assert token_limits == [9, 9, 9]


async def test_a_schema_the_server_does_not_know_becomes_json_and_then_nothing(chat: Chat) -> None:
    error = {"message": "Invalid parameter", "param": "response_format.type"}
    async with RawServer(refuses("response_format", error)) as server:
        reply = await chat.complete(provider_at(server.base_url), Ask(response_format=SCHEMA), timeout_s=20)
    assert reply.requests == 3
    formats = [asked.body.get("response_format") for asked in server.asked]
    assert formats == [SCHEMA, {"type": "json_object"}, None]


async def test_a_rejection_that_persists_teaches_nothing(chat: Chat) -> None:
    error = {"message": "temperature and stream_options are fine, your message is not"}
    responses = iter([answer(400, {"error": error})] * 6 + [GOOD])
    async with RawServer(lambda _: next(responses)) as server:
        provider = provider_at(server.base_url)
        with pytest.raises(ProviderFailure) as caught:
            await chat.complete(provider, Ask(), timeout_s=20, temperature=0.1)
        asked = len(server.asked)
        for _ in range(6 - asked):
            next(responses)
        await chat.complete(provider, Ask(), timeout_s=20, temperature=0.1)
    assert (caught.value.row.name, caught.value.requests) == ("bad_request", asked)
    assert server.asked[-1].body["temperature"] == 0.1
    assert "stream_options" in server.asked[-1].body


async def test_cancelling_closes_the_connection_at_the_provider(chat: Chat) -> None:
    async with StandIn(fate=Fate(drip_ms=100)) as stand_in:
        begun = asyncio.Event()
        running = asyncio.create_task(
            chat.complete(provider_at(stand_in.base_url), Ask(), timeout_s=60, on_first_byte=begun.set)
        )
        await asyncio.wait_for(begun.wait(), 20)
        running.cancel("terminated")
        with pytest.raises(asyncio.CancelledError):
            await running
        await aeventually(lambda: stand_in.counts["chat"]["aborted"] == 1)
        assert stand_in.counts["chat"]["now"] == 0


async def test_two_hundred_requests_run_at_once(chat: Chat) -> None:
    async with StandIn(fate=Fate(latency_ms=500)) as stand_in:
        provider = provider_at(stand_in.base_url)
        replies = await asyncio.gather(*(chat.complete(provider, Ask(), timeout_s=60) for _ in range(200)))
        assert stand_in.counts["chat"]["peak"] == 200
    assert all(reply.finish_reason == "stop" for reply in replies)


async def test_a_ping_looks_at_the_models_and_costs_no_completion(chat: Chat) -> None:
    async with StandIn() as stand_in:
        assert await chat.ping(provider_at(stand_in.base_url), timeout_s=20) >= 0
        assert stand_in.counts["paths"] == {"/v1/models": 1}


async def test_a_provider_without_a_list_of_models_is_up(chat: Chat) -> None:
    async with RawServer(lambda _: answer(404, {})) as server:
        assert await chat.ping(provider_at(server.base_url), timeout_s=20) >= 0


async def test_no_log_holds_a_prompt_or_a_key(chat: Chat, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        async with RawServer(lambda _: answer(400, {"error": {"message": USER_TEXT}})) as server:
            with pytest.raises(ProviderFailure):
                await chat.complete(provider_at(server.base_url), Ask(), timeout_s=20)
        async with RawServer(lambda _: GOOD) as server:
            await chat.complete(provider_at(server.base_url), Ask(), timeout_s=20)
    assert USER_TEXT not in caplog.text
    assert "sk-test-key" not in caplog.text
