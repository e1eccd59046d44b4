"""Every row of the failure table that a provider can cause, against one that really misbehaves on a socket."""

from __future__ import annotations

import asyncio
import socket
import sys
import traceback
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.chat_parts import USER_TEXT, Ask, RawServer, answer, chunk, provider_at, stream
from tests.support.ports import free_port
from workers.admission import Admitted
from workers.failures import TABLE, Billed, ProviderFailure
from workers.limits import Limits
from workers.stand_in.fate import Answer, Fate
from workers.stand_in.server import StandIn

if TYPE_CHECKING:
    from workers.chat import Chat

QUICK: dict[str, Any] = {"timeout_s": 20.0, "first_byte_s": 0.3}

BY_STAND_IN = [
    # fate, limits, row, partial
    (Fate(refuse=True), {}, "refused", False),
    (Fate(reset=True), {}, "reset", False),
    (Fate(silence=True), QUICK, "no_first_byte", False),
    (Fate(latency_ms=20_000), QUICK, "no_first_byte", False),
    (Fate(stall_after=3), {"timeout_s": 20.0, "first_byte_s": 1.5}, "stalled", True),
    (Fate(drip_ms=200), {"timeout_s": 2.0, "first_byte_s": 2.0}, "total_timeout", True),
    (Fate(drip_ms=200), {"admission": Admitted(Limits(2.0, 2.0, 2.0, by_deadline=True))}, "caller_deadline", True),
    (Fate(silence=True), {"admission": Admitted(Limits(0.3, 0.3, 0.3, by_deadline=True))}, "caller_deadline", False),
    (Fate(drip_ms=200), {"admission": Admitted(Limits(2.0, 2.0, 2.0, flows=True))}, "caller_deadline", True),
    (Fate(silence=True), {"admission": Admitted(Limits(0.3, 0.3, 0.3, flows=True))}, "no_first_byte", False),
    (Fate(cold_ms=20_000), {"admission": Admitted(Limits(20.0, 0.3, 0.3, cold=True))}, "cold_start", False),
    (Fate(cold_ms=500, stall_after=3), {"admission": Admitted(Limits(20.0, 20.0, 0.5, cold=True))}, "stalled", True),
    (Fate(cut_after=3), {}, "cut", True),
    (Fate(cut_after=0), {}, "cut", False),
    (Fate(malformed_after=2), {}, "cut", True),
    (Fate(malformed_after=0), {}, "cut", False),
    (Fate(status=500), {}, "server_error", False),
    (Fate(status=502), {}, "server_error", False),
    (Fate(status=504), {}, "server_error", False),
    (Fate(status=503), {}, "overloaded", False),
    (Fate(status=529), {}, "overloaded", False),
    (Fate(status=429, retry_after=7), {}, "rate_limited_until", False),
    (Fate(status=429), {}, "rate_limited", False),
    (Fate(code="insufficient_quota"), {}, "quota", False),
    (Fate(code="insufficient_quota", retry_after=7), {}, "quota", False),
    (Fate(status=402), {}, "quota", False),
    (Fate(status=401), {}, "auth", False),
    (Fate(status=403), {}, "auth", False),
    (Fate(model_missing=True), {}, "model_missing", False),
    (Fate(code="context_length_exceeded"), {}, "context_too_long", False),
    (Fate(status=400), {}, "bad_request", False),
    (Fate(status=422), {}, "bad_request", False),
    (Fate(code="content_filter"), {}, "content_filter", False),
]

BY_REPLY = [
    (Fate(answer=Answer.CONTENT_FILTER), "content_filter"),
    (Fate(answer=Answer.REFUSAL), "refusal"),
    (Fate(answer=Answer.EMPTY), "empty"),
    (Fate(answer=Answer.LENGTH), "token_limit"),
]

ERROR = {"error": {"message": USER_TEXT, "code": "insufficient_quota", "type": "insufficient_quota"}}

BY_BYTES = [
    # a whole response, row, partial
    (stream(chunk("half")), "cut", True),
    (stream(), "cut", False),
    (stream(chunk("half"), b"data: [1, 2]\n\n"), "cut", True),
    (stream(chunk("half"), b'data: {"choices": [7]}\n\n'), "cut", True),
    (stream(chunk("half"), b"data: \xff\xfe\n\n"), "cut", True),
    (stream(b'data: {"error": {"message": "busy", "code": 503}}\n\n'), "overloaded", False),
    (stream(b'data: {"error": "something broke"}\n\n'), "server_error", False),
    (stream(chunk("half"), b'data: {"error": {"message": "x", "code": 400}}\n\n'), "cut", True),
    (answer(200, ERROR), "quota", False),
    (answer(200, b"<html>sign in</html>", "text/html"), "cut", False),
    (answer(200, b"{}"), "cut", False),
    (answer(200, b'{"choices": [{"mess'), "cut", False),
    (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", "cut", False),
    (answer(429, ERROR), "quota", False),
    (answer(404, b"404 page not found", "text/plain"), "model_missing", False),
    (answer(405, {}), "model_missing", False),
    (answer(400, {"error": "the input length exceeds the context length"}), "context_too_long", False),
    (answer(400, {"error": {"message": "This model's maximum context length is 4096 tokens", "code": 400}}),
     "context_too_long", False),
    (answer(500, b"\xff not text", "text/plain"), "server_error", False),
]  # fmt: skip

ELSEWHERE = {
    "dns": "test_a_host_name_without_an_address_is_the_row_dns",
    "tls": "test_a_server_that_speaks_no_tls_is_the_row_tls",
    "connect_timeout": "test_a_port_that_takes_no_connection_is_the_row_connect_timeout",
    "no_tools": "test_tool_calls",
    # Found when the text is read, not by the chat.
    "not_json": "tasks",
    "wrong_schema": "tasks",
    # Raised by whoever runs the attempt.
    "bug": "attempt",
    "shutdown": "attempt",
}


async def failure_of(chat: Chat, base_url: str, **limits: Any) -> ProviderFailure:
    limits.setdefault("timeout_s", 20.0)
    with pytest.raises(ProviderFailure) as caught:
        await chat.complete(provider_at(base_url), Ask(), call_id="call-1", **limits)
    return caught.value


@pytest.mark.parametrize(("fate", "limits", "name", "partial"), BY_STAND_IN, ids=lambda value: str(value)[:40])
async def test_what_a_misbehaving_provider_does_is_read_as_its_row(
    chat: Chat, fate: Fate, limits: dict[str, Any], name: str, partial: bool
) -> None:
    async with StandIn(fate=fate) as stand_in:
        failure = await failure_of(chat, stand_in.base_url, **limits)
        assert (failure.row.name, failure.partial) == (name, partial), failure
        assert failure.requests == stand_in.counts["chat"]["total"]
        assert failure.status == fate.status or fate.model_missing
        if fate.retry_after is not None:
            assert failure.retry_after_s == fate.retry_after


@pytest.mark.parametrize(("fate", "name"), BY_REPLY)
async def test_a_reply_that_is_no_answer_says_its_row(chat: Chat, fate: Fate, name: str) -> None:
    async with StandIn(fate=fate) as stand_in:
        reply = await chat.complete(provider_at(stand_in.base_url), Ask(), timeout_s=20)
        assert reply.row is not None
        assert reply.row.name == name


@pytest.mark.parametrize(("response", "name", "partial"), BY_BYTES, ids=lambda value: str(value)[:60])
async def test_bytes_that_are_no_answer_are_read_as_their_row(
    chat: Chat, response: bytes, name: str, partial: bool
) -> None:
    async with RawServer(lambda _: response) as server:
        failure = await failure_of(chat, server.base_url)
        assert (failure.row.name, failure.partial, failure.requests) == (name, partial, 1), failure


@pytest.mark.parametrize("response", [each[0] for each in BY_BYTES] + [answer(503, ERROR), answer(400, ERROR)])
async def test_no_failure_repeats_what_the_provider_wrote(chat: Chat, response: bytes) -> None:
    response = response.replace(b"half", USER_TEXT.encode()).replace(b"broke", USER_TEXT.encode())
    async with RawServer(lambda _: response) as server:
        failure = await failure_of(chat, server.base_url)
        shown = f"{failure!r} {failure.detail} " + "".join(traceback.format_exception(failure))
        assert USER_TEXT not in shown


async def test_a_host_name_without_an_address_is_the_row_dns(chat: Chat) -> None:
    failure = await failure_of(chat, "http://no-such-host.invalid/v1")
    assert (failure.row.name, failure.requests, failure.billed) == ("dns", 0, Billed.NO)


async def test_a_server_that_speaks_no_tls_is_the_row_tls(chat: Chat) -> None:
    async with StandIn() as stand_in:
        failure = await failure_of(chat, stand_in.base_url.replace("http:", "https:"))
        assert (failure.row.name, failure.requests, failure.billed) == ("tls", 0, Billed.NO)


async def test_a_connection_closed_in_the_tls_handshake_is_the_row_tls(chat: Chat) -> None:
    async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        failure = await failure_of(chat, f"https://127.0.0.1:{port}/v1")
    assert (failure.row.name, failure.requests) == ("tls", 0)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse where Linux lets a connection wait")
async def test_a_port_that_takes_no_connection_is_the_row_connect_timeout(chat: Chat) -> None:
    with socket.socket() as listener:
        # A full backlog: Linux then answers no further SYN.
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        address = listener.getsockname()
        waiting = [socket.socket() for _ in range(4)]
        for each in waiting:
            each.setblocking(False)
            each.connect_ex(address)
        provider = provider_at(f"http://127.0.0.1:{address[1]}/v1", connect_s=0.3)
        with pytest.raises(ProviderFailure) as caught:
            await chat.complete(provider, Ask(), timeout_s=20)
        for each in waiting:
            each.close()
    assert (caught.value.row.name, caught.value.requests) == ("connect_timeout", 0)


async def test_a_pinged_provider_that_refuses_is_the_row_refused(chat: Chat) -> None:
    with pytest.raises(ProviderFailure) as caught:
        await chat.ping(provider_at(f"http://127.0.0.1:{free_port()}/v1"), timeout_s=5)
    assert caught.value.row.name == "refused"


@pytest.mark.parametrize(("fate", "timeout_s", "name"), [
    (Fate(silence=True), 0.5, "no_first_byte"), (Fate(status=500), 20, "server_error"), (Fate(reset=True), 20, "reset"),
])  # fmt: skip
async def test_a_ping_fails_by_the_same_table(chat: Chat, fate: Fate, timeout_s: float, name: str) -> None:
    async with StandIn(fate=fate) as stand_in:
        with pytest.raises(ProviderFailure) as caught:
            await chat.ping(provider_at(stand_in.base_url), timeout_s=timeout_s)
        assert caught.value.row.name == name


def test_every_row_of_the_table_is_driven() -> None:
    driven = {case[2] for case in BY_STAND_IN} | {case[1] for case in BY_REPLY} | set(ELSEWHERE)
    assert driven == {row.name for row in TABLE}
