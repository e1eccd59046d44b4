"""kombu's Redis transport, with one Redis client for all commands of a channel."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from kombu.transport import redis

if TYPE_CHECKING:
    from collections.abc import Iterator


class Channel(redis.Channel):
    """A channel whose commands share a client: kombu makes one for each, a third of what publishing takes."""

    _shared: Any = None

    @contextmanager
    def conn_or_acquire(self, client: Any = None) -> Iterator[Any]:
        """A client for one command: the same each time, for it holds nothing but the pool."""
        if client is None:
            pool = self.pool
            if self._shared is None or self._shared.connection_pool is not pool:
                self._shared = self._create_client()
            client = self._shared
        yield client


class Transport(redis.Transport):
    """For `redis://` and `rediss://`."""

    Channel = Channel
