"""The tests' RabbitMQ node takes messages."""

from __future__ import annotations

import pytest
from kombu import Connection


@pytest.mark.rabbitmq
def test_a_node_of_our_own_takes_a_message_and_gives_it_back(rabbitmq_url: str) -> None:
    with Connection(rabbitmq_url) as connection, connection.SimpleQueue("a.queue") as queue:
        queue.put({"n": 1})
        message = queue.get(timeout=10)
        message.ack()
    assert message.payload == {"n": 1}
