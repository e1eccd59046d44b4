"""The bootstep that tells when a worker consumes, and when it no longer does."""

from __future__ import annotations

from typing import Any

from celery import bootsteps

from workers.hooks import call, hooks_of


class Announce(bootsteps.StartStopStep):
    """Calls the hooks as the consumer starts and stops, also around each loss of the broker's connection."""

    requires = ("celery.worker.consumer.tasks:Tasks",)
    label = "Announce"

    def __init__(self, consumer: Any, **options: Any) -> None:
        super().__init__(consumer, **options)
        self.announced = False

    def start(self, consumer: Any) -> None:
        """The connection is there, and the queues are declared."""
        self.announced = True
        announce(consumer)

    def stop(self, consumer: Any) -> None:
        """The connection is lost, or the worker ends."""
        if self.announced:
            self.announced = False
            call(hooks_of(consumer.app).on_consumer_stopped)

    terminate = stop


def announce(consumer: Any) -> None:
    """Tell which queues are consumed now, and how many of their tasks run at once."""
    queues = sorted(consumer.app.amqp.queues.consume_from)
    call(hooks_of(consumer.app).on_consuming, queues, consumer.pool.num_processes)
