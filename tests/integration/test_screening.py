"""The moderation endpoint over real sockets: what is sent, what is read, and how it fails."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.support.chat_parts import RawServer, answer, provider_at
from understudy.contracts.moderation import ModerationRequest
from workers.failures import Health, ProviderFailure
from workers.kind_work import Reply
from workers.screening import MODEL, SCREENING
from workers.stand_in.fate import Fate
from workers.stand_in.server import StandIn

if TYPE_CHECKING:
    from workers.chat import Chat

PROMPT = SCREENING.build(ModerationRequest(text="you are [hate]"))


async def test_the_text_alone_goes_to_the_endpoint_and_its_model_is_told(chat: Chat) -> None:
    async with StandIn() as stand_in:
        reply = await chat.complete(provider_at(stand_in.base_url, name="openai"), PROMPT, timeout_s=20, call_id="c1")
        assert (reply.model, reply.requests, reply.usage.total_tokens) == (MODEL, 1, 0)
        verdict = SCREENING.read(Reply(reply.text), ModerationRequest(text="x"))
        assert "hate" in verdict.model_dump_json()
        (record,) = stand_in.counts["records"]
        assert (record["kind"], record["call"], record["outcome"]) == ("screening", "c1", "answered")


async def test_what_is_sent_is_model_and_input(chat: Chat) -> None:
    result = {"flagged": False, "categories": {"hate": False}}
    body = {"id": "m", "model": "omni-moderation-2024-09-26", "results": [result]}
    async with RawServer(lambda _: answer(200, body)) as server:
        reply = await chat.complete(provider_at(server.base_url), PROMPT, timeout_s=20)
        assert json.loads(reply.text) == result
        assert reply.model == "omni-moderation-2024-09-26"
        (asked,) = server.asked
    assert asked.head.startswith("POST /v1/moderations ")
    assert asked.body == {"model": MODEL, "input": "you are [hate]"}


@pytest.mark.parametrize(
    ("fate", "row"),
    [
        (Fate(status=429, retry_after=2), "rate_limited_until"),
        (Fate(status=429, code="insufficient_quota"), "quota"),
        (Fate(status=401, code="invalid_api_key"), "auth"),
        (Fate(status=404, code="model_not_found"), "model_missing"),
        (Fate(status=500), "server_error"),
        (Fate(reset=True), "reset"),
        (Fate(silence=True), "no_first_byte"),
        (Fate(answer="empty"), "cut"),
    ],
)
async def test_a_failure_is_a_row_of_the_one_table(chat: Chat, fate: Fate, row: str) -> None:
    async with StandIn() as stand_in:
        await stand_in.set_fate(fate)
        provider = provider_at(stand_in.base_url, name="openai")
        with pytest.raises(ProviderFailure) as failed:
            await chat.complete(provider, PROMPT, timeout_s=0.5 if fate.silence else 20)
    assert failed.value.row.name == row


async def test_nobody_listening_is_refused(chat: Chat) -> None:
    with pytest.raises(ProviderFailure) as failed:
        await chat.complete(provider_at("http://127.0.0.1:9"), PROMPT, timeout_s=20)
    assert failed.value.row.name == "refused"


async def test_an_address_without_the_endpoint_says_nothing_about_the_chat_beside_it(chat: Chat) -> None:
    async with RawServer(lambda _: answer(404, {"error": {"message": "no such path"}})) as server:
        with pytest.raises(ProviderFailure) as failed:
            await chat.complete(provider_at(server.base_url), PROMPT, timeout_s=20)
    assert (failed.value.row.name, failed.value.row.health) == ("model_missing", Health.NONE)
