"""Plain Celery callers with RabbitMQ as broker."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from celery import chain, chord, group
from celery.exceptions import TaskRevokedError

from tests.support.plain_parts import PlainCaller, celery_is_told, got
from tests.support.polling import aeventually
from understudy.errors import AllProvidersFailed
from understudy.state.record import CANCELLED
from workers.stand_in import Fate

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.rabbitmq_server import RabbitMQServer
    from tests.support.stack import Stack

pytestmark = pytest.mark.rabbitmq


@pytest.fixture
def bot(rabbit: Stack, rabbitmq_server: RabbitMQServer, tmp_path: Path) -> Iterator[PlainCaller]:
    """A plain caller without a worker of its own."""
    caller = PlainCaller(tmp_path, rabbitmq_server.url, rabbit.redis.url())
    yield caller
    caller.app.close()


@pytest.mark.parametrize("answering", ["ollama", "openai"])
async def test_canvas_works_and_a_fallback_in_its_middle_keeps_it(
    rabbit: Stack, bot: PlainCaller, answering: str
) -> None:
    if answering == "openai":
        rabbit.ollama.set_fate(Fate(refuse=True))
    lone = bot.call().apply_async(priority=5)
    chained = chain(bot.call(), bot.call("thread_naming")).delay()
    grouped = group(bot.call(text=f"message {i}") for i in range(3)).delay()
    joined = chord([bot.call(text=f"message {i}") for i in range(3)])(bot.call("agent_turn"))
    assert (got(lone)["call_id"], got(lone)["provider"]) == (lone.id, answering)
    assert (got(chained)["kind"], got(chained)["call_id"]) == ("thread_naming", chained.id)
    assert got(chained.parent)["provider"] == answering
    assert [outcome["call_id"] for outcome in got(grouped)] == [each.id for each in grouped]
    assert (got(joined)["kind"], got(joined)["provider"]) == ("agent_turn", answering)
    async with rabbit.look() as look:
        await celery_is_told(look, lone.id, chained.parent.id, *(each.id for each in joined.parent))


async def test_a_failure_reaches_the_caller(rabbit: Stack, bot: PlainCaller) -> None:
    rabbit.ollama.set_fate(Fate(status=500))
    rabbit.openai.set_fate(Fate(status=500))
    chained = chain(bot.call(deadline_s=2.0), bot.call("thread_naming")).delay()
    with pytest.raises(AllProvidersFailed):
        got(chained)


@pytest.mark.parametrize("terminate", [True, False])
async def test_revoke_stops_a_running_call(rabbit: Stack, bot: PlainCaller, terminate: bool) -> None:
    rabbit.ollama.set_fate(Fate(silence=True))
    result = bot.call().delay()
    await aeventually(lambda: rabbit.running("ollama") == 1)
    result.revoke(terminate=terminate)
    with pytest.raises(TaskRevokedError):
        got(result)
    await aeventually(lambda: rabbit.running("ollama") == 0)
    async with rabbit.look() as look:
        await celery_is_told(look, result.id)
        assert (await look.record(result.id)).state == CANCELLED
