"""The synchronous form, for scripts."""

from __future__ import annotations

import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
import redis as redis_sync

from bot_client import CallCancelled, InvalidRequest
from bot_client.sync import Understudy
from bot_client.testing import FakeUnderstudy
from tests.support.clients import client_of
from tests.support.polling import eventually
from tests.support.scripted_worker import ScriptedWorker

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def llm(redis_url: str) -> Iterator[Understudy]:
    with Understudy(client_of(redis_url)) as script:
        worker = script.run(_started(redis_url))
        yield script
        script.run(worker.__aexit__())


async def _started(url: str) -> ScriptedWorker:
    return await ScriptedWorker(url).__aenter__()


def test_a_script_asks_and_gets_typed_answers(llm: Understudy) -> None:
    verdict = llm.moderate("hello", user_id=7)
    assert verdict.result is not None
    assert verdict.result.helpful
    assert llm.name_thread("How do I cook rice?").provider == "ollama"
    call = llm.submit("agent_turn", {"messages": [{"role": "user", "content": "hi"}]}, deadline_s=20)
    assert call.result(timeout_s=20).result is not None
    assert call.done()
    assert call.status().state == "done"
    assert llm.call(call.id).result().call_id == call.id
    assert [status.name for status in llm.provider_status()] == ["ollama", "openai"]


def test_several_threads_share_one_client(llm: Understudy) -> None:
    with ThreadPoolExecutor(8) as threads:
        outcomes = list(threads.map(lambda i: llm.moderate(f"message {i}"), range(40)))
    assert len({outcome.call_id for outcome in outcomes}) == 40


def test_bad_input_and_cancellation_raise_as_in_the_async_form() -> None:
    fake = FakeUnderstudy()
    with Understudy(fake) as llm:
        with pytest.raises(InvalidRequest, match="moderation: text"):
            llm.moderate("")
        fake.hold("moderation")
        call = llm.submit("moderation", {"text": "x"})
        assert call.cancel()
        with pytest.raises(CallCancelled):
            call.result()


def test_outside_of_with_it_says_how_to_use_it() -> None:
    llm = Understudy(FakeUnderstudy())
    with pytest.raises(RuntimeError, match="with Understudy"):
        llm.moderate("x")
    with llm:
        assert llm.moderate("x").result
    with pytest.raises(RuntimeError, match="with Understudy"):
        llm.moderate("x")
    llm.close()


def test_an_interrupt_cancels_the_call_that_is_waited_for(redis_url: str) -> None:
    with redis_sync.Redis.from_url(redis_url) as redis:

        def interrupt() -> None:
            eventually(lambda: redis.zcard("u:due") == 1)
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

        with Understudy(client_of(redis_url)) as llm:
            thread = threading.Thread(target=interrupt)
            thread.start()
            with pytest.raises(KeyboardInterrupt):
                llm.moderate("nobody answers", deadline_s=60)
            thread.join()
        assert redis.zcard("u:due") == 0
