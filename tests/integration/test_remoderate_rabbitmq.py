"""A batch job with RabbitMQ as broker: the same as on Redis, also when a worker dies in its middle."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.stack import Stack
from workers.stand_in import Fate

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.rabbitmq_server import RabbitMQServer
    from workers.local_redis import Flavour

pytestmark = pytest.mark.rabbitmq

ROWS, AT_ONCE = 80, 4
WORKERS = {"ollama,openai,openai.batch": 8, "ollama.batch": AT_ONCE}


@pytest.fixture(scope="module")
def batch_stack(
    tmp_path_factory: pytest.TempPathFactory, redis_flavour: Flavour, rabbitmq_server: RabbitMQServer
) -> Iterator[Stack]:
    """A stack with batch workers on RabbitMQ."""
    folder = tmp_path_factory.mktemp("rabbitmq-batch")
    with Stack(folder, redis_flavour, BROKER_URL=rabbitmq_server.url, workers=WORKERS) as stack:
        yield stack


async def test_each_row_has_one_verdict_though_the_batch_worker_is_killed(batch_stack: Stack) -> None:
    batch_stack.ollama.set_fate(Fate(latency_ms=50))
    worker = batch_stack.workers["ollama.batch"]
    verdicts = []
    rows = [{"id": number, "text": f"Message {number} about bread"} for number in range(ROWS)]
    async with batch_stack.client() as llm:
        async for verdict in llm.remoderate(rows, window=8):
            verdicts.append(verdict)
            if len(verdicts) == ROWS // 4:
                worker.kill()
                worker.start()
    assert sorted(verdict.id for verdict in verdicts) == list(range(ROWS))
    assert {verdict.provider for verdict in verdicts} == {"ollama"}
    assert batch_stack.requests() <= ROWS + AT_ONCE  # what the worker asked when it died was asked once more
    # more messages were taken than that, but no more asked at once
    assert batch_stack.counts("ollama")["peak"] == AT_ONCE
