"""Servers that are not ours: every kind and a stream against LiteLLM's proxy, and against whatever one names.

`make test-foreign` runs them; the proxy's environment takes a minute or two to install, once. Any OpenAI-compatible
endpoint is tested as well where UNDERSTUDY_TEST_BASE_URL, UNDERSTUDY_TEST_MODEL and UNDERSTUDY_TEST_API_KEY name it.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest

from bot_client import Action
from tests.support.litellm_proxy import KEY, LiteLLMProxy
from tests.support.stack import Stack

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bot_client import Understudy
    from workers.local_redis import Flavour

TEXT = "Keep one copy at home and another one elsewhere, and try now and then whether they can be read."
VERDICT = {"helpful": False, "violation": "spam", "quality_score": 1, "action": "delete", "reason": "It advertises."}
ANSWERS = {
    "moderation": json.dumps(VERDICT),
    "thread-naming": json.dumps({"name": "Photo backup"}),
    "agent-turn": TEXT,
}
QUESTION = "How do I back up my photos?"
CALL: dict[str, Any] = {"deadline_s": 60}

pytestmark = [
    pytest.mark.timeout(1200),
    pytest.mark.skipif(os.environ.get("UNDERSTUDY_TEST_FOREIGN") != "1", reason="run by `make test-foreign`"),
]


@pytest.fixture(scope="module")
def litellm(tmp_path_factory: pytest.TempPathFactory, redis_flavour: Flavour) -> Iterator[Stack]:
    """A worker for three models of LiteLLM's proxy, one for each kind."""
    folder = tmp_path_factory.mktemp("litellm")
    with LiteLLMProxy(folder, ANSWERS) as proxy:
        entries = [_entry(name, proxy.base_url, name, KEY) for name in ANSWERS]
        with _stack(folder, redis_flavour, entries) as stack:
            yield stack


@pytest.fixture(scope="module")
def named(tmp_path_factory: pytest.TempPathFactory, redis_flavour: Flavour) -> Iterator[Stack]:
    """A worker for the endpoint that the environment names."""
    base_url, model, key = (os.environ.get(f"UNDERSTUDY_TEST_{name}", "") for name in ("BASE_URL", "MODEL", "API_KEY"))
    if not base_url:
        pytest.skip("UNDERSTUDY_TEST_BASE_URL names no endpoint")
    with _stack(tmp_path_factory.mktemp("named"), redis_flavour, [_entry("named", base_url, model, key)]) as stack:
        yield stack


def _entry(name: str, base_url: str, model: str, key: str) -> dict[str, Any]:
    entry = {"name": name, "base_url": base_url, "model": model, "paid": False, "context_window": 8192, "timeout_s": 60}
    return entry | ({"api_key": key} if key else {})


def _stack(folder: Any, flavour: Flavour, entries: list[dict[str, Any]]) -> Stack:
    queues = ",".join(entry["name"] for entry in entries)
    return Stack(folder, flavour, workers={queues: 4}, UNDERSTUDY_PROVIDERS=json.dumps(entries))


async def streamed(llm: Understudy, provider: str) -> tuple[list[str], str]:
    """The pieces of a streamed turn, and its result."""
    async with llm.agent_turn([{"role": "user", "content": QUESTION}], stream=True, only=provider, **CALL) as stream:
        pieces = [event.text async for event in stream if event.type == "delta"]
        outcome = await stream.result()
    assert outcome.provider == provider
    assert outcome.result is not None
    return pieces, outcome.result.text


async def test_every_kind_and_a_stream_by_litellm(litellm: Stack) -> None:
    async with litellm.client() as llm:
        verdict = await llm.moderate("WIN a free prize!", only="moderation", **CALL)
        named = await llm.name_thread(QUESTION, only="thread-naming", **CALL)
        turn = await llm.agent_turn([{"role": "user", "content": QUESTION}], only="agent-turn", **CALL)
        pieces, text = await streamed(llm, "agent-turn")
    assert verdict.result is not None
    assert verdict.result.model_dump(mode="json").items() >= VERDICT.items()
    assert verdict.result.action is Action.DELETE
    assert named.result is not None
    assert named.result.name == "Photo backup"
    assert turn.result is not None
    assert (turn.provider, turn.result.text, len(turn.attempts)) == ("agent-turn", TEXT, 1)
    assert turn.usage is not None
    assert (turn.usage.completion_tokens or 0) > 0
    assert "".join(pieces) == text == TEXT


async def test_every_kind_and_a_stream_by_the_endpoint_that_is_named(named: Stack) -> None:
    async with named.client() as llm:
        verdict = await llm.moderate("WIN a free prize! Text CLAIM to 80888 now", only="named", **CALL)
        thread = await llm.name_thread(QUESTION, only="named", **CALL)
        turn = await llm.agent_turn([{"role": "user", "content": QUESTION}], only="named", **CALL)
        pieces, text = await streamed(llm, "named")
    assert verdict.result is not None
    assert thread.result is not None
    assert thread.result.name
    assert turn.result is not None
    assert turn.result.text
    assert "".join(pieces) == text
