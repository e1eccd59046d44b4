"""What a stand-in puts on the wire, fate by fate."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.raw_http import QUIET_S, Heard, fetch
from workers.stand_in import Fate, PortError, StandIn

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.asyncio

MODERATION = {"type": "json_schema", "json_schema": {"name": "moderation", "schema": {}}}


def body(text: str = "hello there, how is it going", **more: Any) -> dict[str, Any]:
    return {"model": "any-name", "messages": [{"role": "user", "content": text}], **more}


async def chat(stand_in: StandIn, request: object = None, *, quiet_s: float = 10.0, **headers: str) -> Heard:
    sent = {"x-understudy-" + name: value for name, value in headers.items()}
    return await fetch(stand_in.base_url + "/chat/completions", request or body(), quiet_s=quiet_s, headers=sent)


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not holds():  # noqa: ASYNC110 (polls with a limit)
            await asyncio.sleep(0.01)


async def test_a_healthy_answer_is_complete_and_says_whose_it_is() -> None:
    async with StandIn(name="openai") as stand_in:
        heard = await chat(stand_in)
    assert (heard.status, heard.whole, heard.headers["x-understudy-stand-in"]) == (200, True, "openai")
    assert (heard.json["model"], heard.json["system_fingerprint"]) == ("any-name", "understudy-stand-in")
    assert heard.json["choices"][0]["message"]["content"].startswith("(stand-in)")
    assert heard.json["usage"]["total_tokens"] > heard.json["usage"]["completion_tokens"] > 1


async def test_a_stream_brings_the_same_text_in_tokens_then_usage_and_the_end_mark() -> None:
    async with StandIn() as stand_in:
        whole = (await chat(stand_in)).json["choices"][0]["message"]["content"]
        heard = await chat(stand_in, body(stream=True, stream_options={"include_usage": True}))
    *events, done = heard.events
    chunks = [json.loads(event) for event in events]
    assert heard.whole
    assert heard.headers["x-understudy-stand-in"] == "ollama"
    assert done == "[DONE]"
    assert "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks[:-1]) == whole
    assert chunks[-2]["choices"][0]["finish_reason"] == "stop"
    assert chunks[-1]["choices"] == []
    assert chunks[-1]["usage"]["completion_tokens"] == len(chunks) - 2
    assert {chunk["system_fingerprint"] for chunk in chunks} == {"understudy-stand-in"}


async def test_lists_and_version_are_there_for_cheap_probes() -> None:
    async with StandIn(model="llama3.2") as stand_in:
        root = stand_in.base_url.removesuffix("/v1")
        assert [model["id"] for model in (await fetch(root + "/v1/models")).json["data"]] == ["llama3.2"]
        assert [model["name"] for model in (await fetch(root + "/api/tags")).json["models"]] == ["llama3.2:latest"]
        assert "stand-in" in (await fetch(root + "/api/version")).json["version"]
        assert (await fetch(root + "/nowhere")).status == 404
        await stand_in.set_fate(Fate(model_missing=True))
        assert (await fetch(root + "/v1/models")).json["data"] == (await fetch(root + "/api/tags")).json["models"] == []
        assert (await chat(stand_in)).json["error"]["code"] == "model_not_found"


@pytest.mark.parametrize(
    ("fate", "status", "code", "retry_after"),
    [
        (Fate(status=500), 500, None, None),
        (Fate(status=503, retry_after=2), 503, None, "2"),
        (Fate(status=429, retry_after=0.5), 429, None, "0.5"),
        (Fate(code="insufficient_quota"), 429, "insufficient_quota", None),
        (Fate(code="model_not_found"), 404, "model_not_found", None),
        (Fate(code="context_length_exceeded"), 400, "context_length_exceeded", None),
        (Fate(code="invalid_api_key"), 401, "invalid_api_key", None),
        (Fate(code="content_filter"), 400, "content_filter", None),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
async def test_an_error_has_its_status_code_and_retry_after(
    fate: Fate, status: int, code: str | None, retry_after: str | None, stream: bool
) -> None:
    async with StandIn(fate=fate) as stand_in:
        heard = await chat(stand_in, body(stream=stream))
    assert (heard.status, heard.json["error"]["code"], heard.headers.get("retry-after")) == (status, code, retry_after)
    assert "stand-in" in heard.json["error"]["message"]
    assert "x-understudy-stand-in" in heard.headers


async def test_refusing_drops_open_connections_and_is_taken_back_on_the_same_port() -> None:
    async with StandIn(fate=Fate(silence=True)) as stand_in:
        address = stand_in.base_url
        waiting = asyncio.create_task(chat(stand_in))
        await until(lambda: stand_in.counts["chat"]["now"] == 1)
        await stand_in.set_fate(Fate(refuse=True))
        assert (await waiting).raw == b""
        assert stand_in.counts["chat"]["outcomes"] == {"hung_up": 1}
        for _ in range(2):
            with pytest.raises(ConnectionRefusedError):
                await chat(stand_in)
        await stand_in.set_fate(Fate())
        assert stand_in.base_url == address
        assert (await chat(stand_in)).status == 200


async def test_a_stand_in_may_refuse_from_the_start() -> None:
    async with StandIn(fate=Fate(refuse=True)) as stand_in:
        with pytest.raises(ConnectionRefusedError):
            await chat(stand_in)
        await stand_in.set_fate(Fate())
        assert (await chat(stand_in)).status == 200


async def test_a_port_that_is_taken_is_refused_in_one_sentence() -> None:
    async with StandIn() as first:
        port = int(first.base_url.split(":")[2].split("/")[0])
        with pytest.raises(PortError, match=f"cannot (use|listen on) port {port} on 127.0.0.1"):
            await StandIn(port=port).start()


async def test_a_reset_comes_before_any_byte() -> None:
    async with StandIn(fate=Fate(reset=True)) as stand_in:
        heard = await chat(stand_in)
        assert (heard.raw, heard.end) == (b"", "reset")
        assert stand_in.counts["chat"]["outcomes"] == {"reset": 1}


async def test_silence_answers_nothing_and_a_client_that_leaves_is_counted_as_aborted() -> None:
    async with StandIn(fate=Fate(silence=True)) as stand_in:
        heard = await chat(stand_in, quiet_s=QUIET_S)
        assert (heard.raw, heard.end) == (b"", "quiet")
        await until(lambda: stand_in.counts["chat"]["now"] == 0)
        assert stand_in.counts["chat"]["aborted"] == 1
        assert (await fetch(stand_in.base_url + "/models", quiet_s=QUIET_S)).end == "quiet"


@pytest.mark.parametrize("stream", [False, True])
async def test_stalling_sends_a_part_and_keeps_the_connection_open(stream: bool) -> None:
    async with StandIn(fate=Fate(stall_after=3)) as stand_in:
        heard = await chat(stand_in, body(stream=stream), quiet_s=QUIET_S)
    assert (heard.status, heard.end, heard.whole) == (200, "quiet", False)
    assert len(heard.events) == 3 if stream else len(heard.body) == 12


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("after", [0, 3, 1_000_000])
async def test_cutting_closes_the_connection_before_the_end(stream: bool, after: int) -> None:
    async with StandIn(fate=Fate(cut_after=after)) as stand_in:
        heard = await chat(stand_in, body(stream=stream))
        assert stand_in.counts["chat"]["outcomes"] == {"cut": 1}
    assert (heard.status, heard.end, heard.whole) == (200, "closed", False)
    assert "[DONE]" not in heard.events
    if after == 3:
        assert len(heard.events) == 3 if stream else len(heard.body) == 12


@pytest.mark.parametrize("stream", [False, True])
async def test_a_malformed_answer_is_whole_but_not_json(stream: bool) -> None:
    async with StandIn(fate=Fate(malformed_after=2)) as stand_in:
        heard = await chat(stand_in, body(stream=stream))
    assert (heard.status, heard.whole) == (200, True)
    with pytest.raises(json.JSONDecodeError):
        json.loads(heard.events[2] if stream else heard.body)


@pytest.mark.parametrize("stream", [False, True])
async def test_dripping_brings_the_same_answer_in_many_pieces(stream: bool) -> None:
    request = body(stream=stream, max_tokens=3)
    async with StandIn(fate=Fate(drip_ms=1)) as slow, StandIn() as quick:
        heard, other = await chat(slow, request), await chat(quick, request)
    assert heard.whole
    assert len(heard.body) == len(other.body)


async def test_a_stream_may_lack_its_end_mark_and_any_answer_its_usage() -> None:
    async with StandIn(fate=Fate(no_done=True, no_usage=True)) as stand_in:
        heard = await chat(stand_in, body(stream=True, stream_options={"include_usage": True}))
        whole = await chat(stand_in)
    assert heard.whole
    assert "[DONE]" not in heard.events
    assert "usage" not in heard.body.decode()
    assert json.loads(heard.events[-1])["choices"][0]["finish_reason"] == "stop"
    assert "usage" not in whole.json


@pytest.mark.parametrize(
    ("answer", "finish", "fits"),
    [
        ("good", "stop", lambda text: json.loads(text)["action"] == "none"),
        ("wrong_schema", "stop", lambda text: "action" not in json.loads(text)),
        ("not_json", "stop", lambda text: "{" not in text and text),
        ("fenced", "stop", lambda text: json.loads(text.split("```json")[1].split("```")[0])["action"] == "none"),
        ("empty", "stop", lambda text: text == ""),
        ("length", "length", lambda text: text.startswith("{") and not text.endswith("}")),
        ("content_filter", "content_filter", lambda text: text == ""),
    ],
)
async def test_a_completed_answer_may_still_be_unusable(answer: str, finish: str, fits: Callable[[str], bool]) -> None:
    request = body(response_format=MODERATION)
    async with StandIn(fate=Fate(answer=answer)) as stand_in:
        choice = (await chat(stand_in, request)).json["choices"][0]
        heard = await chat(stand_in, request | {"stream": True})
    deltas = [json.loads(event)["choices"][0] for event in heard.events[:-1]]
    assert choice["finish_reason"] == deltas[-1]["finish_reason"] == finish
    assert fits(choice["message"]["content"])
    assert "".join(delta["delta"].get("content", "") for delta in deltas) == choice["message"]["content"]


async def test_a_refusal_has_no_content() -> None:
    async with StandIn(fate=Fate(answer="refusal")) as stand_in:
        message = (await chat(stand_in)).json["choices"][0]["message"]
        heard = await chat(stand_in, body(stream=True))
    assert message["content"] is None
    assert message["refusal"].startswith("(stand-in)")
    assert '"refusal"' in heard.events[0]


async def test_latency_and_a_cold_model_keep_a_call_waiting_but_not_a_look() -> None:
    for fate in (Fate(latency_ms=3_600_000), Fate(cold_ms=3_600_000)):
        async with StandIn(fate=fate) as stand_in:
            assert (await chat(stand_in, quiet_s=QUIET_S)).end == "quiet"
            assert (await fetch(stand_in.base_url + "/models")).status == 200


async def test_a_bad_request_is_answered_like_a_providers() -> None:
    async with StandIn() as stand_in:
        for bad in (b"{", b"[]", {"model": "m"}):
            heard = await chat(stand_in, bad)
            assert (heard.status, heard.json["error"]["type"]) == (400, "invalid_request_error")
        packed = {"Content-Encoding": "gzip"}
        assert (await fetch(stand_in.base_url + "/chat/completions", b"not gzip", headers=packed)).status == 400
        assert stand_in.counts["chat"]["outcomes"] == {"invalid": 4}


async def test_counts_tell_calls_from_probes_and_hold_no_text() -> None:
    async with StandIn(fate=Fate(status=503, times=1)) as stand_in:
        await chat(stand_in, body("a secret sentence"), call="call-1")
        await chat(stand_in, body("a secret sentence", stream=True))
        await chat(stand_in, body(max_tokens=1))
        await chat(stand_in, probe="1")
        counts = stand_in.counts
        stand_in.clear_counts()
        assert stand_in.counts["chat"]["total"] == 0
    totals = counts["chat"]
    assert (totals["total"], totals["streamed"], totals["probes"], totals["now"], totals["peak"]) == (2, 1, 2, 0, 1)
    assert totals["outcomes"] == {"status_503": 1, "answered": 1}
    assert counts["paths"] == {"/v1/chat/completions": 4}
    first, second, *probes = counts["records"]
    assert (first["call"], first["status"], first["tokens"], second["status"]) == ("call-1", 503, 0, 200)
    assert first["fingerprint"] == second["fingerprint"]
    assert second["tokens"] > 1
    assert [probe["kind"] for probe in probes] == ["probe", "probe"]
    assert "secret" not in json.dumps(counts)
