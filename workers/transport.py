"""kombu's Redis transport, hardened: no message and no outage of Redis ends a worker."""

from __future__ import annotations

import logging
import sys
from time import time
from typing import TYPE_CHECKING, Any

import kombu.transport
from kombu.transport import redis as kombu_redis
from kombu.transport import virtual
from kombu.utils.encoding import bytes_to_str
from redis.exceptions import ConnectionError as RedisConnectionError

from understudy import one_client
from workers.message import read_entry

if TYPE_CHECKING:
    from redis.commands.core import Script

logger = logging.getLogger(__name__)

TAKEN = "redis.call('ZADD', KEYS[1], ARGV[2], ARGV[1]) return redis.call('HSET', KEYS[2], ARGV[1], ARGV[3])"
DONE = "redis.call('ZREM', KEYS[1], ARGV[1]) return redis.call('HDEL', KEYS[2], ARGV[1])"

ALIASES = {
    "redis": "workers.transport:Transport",
    "rediss": "workers.transport:Transport",
    "sentinel": "workers.transport:SentinelTransport",
}


class Message(virtual.Message):
    """A message that a body nobody can decode does not keep from being delivered, and so from being refused."""

    def __init__(self, payload: dict[str, Any], channel: Any = None, **kwargs: Any) -> None:
        try:
            super().__init__(payload, channel=channel, **kwargs)
        except Exception:  # noqa: BLE001 - a body may break any decoder in any way
            fault = sys.exc_info()
            super().__init__({**payload, "body": None}, channel=channel, **kwargs)
            self._raw = payload
            # kombu hands a message with errors to the consumer's on_decode_error.
            self.errors.append(fault)


class QoS(kombu_redis.QoS):
    """Which messages were taken and not acknowledged, kept as kombu keeps it, with one command for each step.

    The pipelines that kombu makes for it are a sixth of what a message costs a worker.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._scripts: dict[str, Script] = {}

    def append(self, message: Any, delivery_tag: str) -> None:
        """Note a message that was taken."""
        if self.channel.global_keyprefix:  # kombu's client puts it before the first key of a script alone
            super().append(message, delivery_tag)
            return
        about = message.delivery_info
        noted = kombu_redis.dumps([message._raw, about["exchange"], about["routing_key"]])  # noqa: SLF001
        self._run(TAKEN, delivery_tag, time(), noted)
        virtual.QoS.append(self, message, delivery_tag)

    def ack(self, delivery_tag: str) -> None:
        """Forget one that is done."""
        if self.channel.global_keyprefix:
            super().ack(delivery_tag)
            return
        self._run(DONE, delivery_tag)
        virtual.QoS.ack(self, delivery_tag)

    def _run(self, text: str, *args: Any) -> None:
        with self.channel.conn_or_acquire() as client:
            script = self._scripts.get(text) or self._scripts.setdefault(text, client.register_script(text))
            script([self.unacked_index_key, self.unacked_key], args, client)


class _Hardened(one_client.Channel):
    """What both Redis channels need."""

    Message = Message
    QoS = QoS

    def _get_pool(self, asynchronous: bool = False) -> Any:
        # kombu closes a channel by taking its connection, or that one's client, away; whoever still acknowledges or
        # requeues on it would meet an AttributeError, which Celery takes for a bug and exits.
        if getattr(self.connection, "client", None) is None:
            raise RedisConnectionError("the channel is closed")
        return super()._get_pool(asynchronous)

    def _brpop_read(self, **options: Any) -> bool:
        try:
            try:
                reply = self.client.parse_response(self.client.connection, "BRPOP", **options)
            except self.connection_errors:
                # Disconnected, so that the next round connects anew.
                self.client.connection.disconnect()
                raise
            if not reply:
                raise kombu_redis.Empty
            queue = bytes_to_str(reply[0]).rsplit(self.sep, 1)[0]
            self._queue_cycle.rotate(queue)
            entry = read_entry(reply[1])
            if entry is None:
                logger.error("Dropped an entry of %s bytes from queue %s: it is no message", len(reply[1]), queue)
            else:
                self.connection._deliver(entry, queue)  # noqa: SLF001 - as kombu's channel does
            return True
        finally:
            self._in_poll = None
            self._flush_brpop_reauth()

    def _basic_cancel(self, consumer_tag: str) -> Any:
        cancelled = super()._basic_cancel(consumer_tag)
        if self._in_poll and not self.active_queues:
            # The last BRPOP may still pop a message, which would wait in the socket until the worker has drained: read
            # it now (within a second), which puts the message back.
            try:
                self._brpop_read()
            except kombu_redis.Empty:
                pass
            except self.connection_errors as error:
                logger.warning("Could not give back what the last BRPOP took: %r", error)
        return cancelled

    def _handle_message(self, client: Any, response: Any) -> dict[str, Any]:
        shown: dict[str, Any] = super()._handle_message(client, response)
        if bytes_to_str(shown["type"]).endswith("message") and read_entry(shown["data"] or b"") is None:
            logger.error("Dropped a broadcast that is no message")
            shown["data"] = None
        return shown

    def _do_restore_message(
        self, payload: Any, exchange: str, routing_key: str, pipe: Any, leftmost: bool = False
    ) -> None:
        # As kombu's, whose log line for a failure holds the message.
        try:
            payload["headers"]["redelivered"] = True
            payload["properties"]["delivery_info"]["redelivered"] = True
            text = kombu_redis.dumps(payload)
            for queue in self._lookup(exchange, routing_key):
                key = self._q_for_pri(queue, self._get_message_priority(payload, reverse=False))
                (pipe.lpush if leftmost else pipe.rpush)(key, text)
        except self.connection_errors:
            raise  # ends the transaction, which would otherwise remove the message
        except Exception as error:  # noqa: BLE001 - as kombu does
            logger.critical("Could not requeue a message: %s", type(error).__name__)


class Channel(_Hardened):
    """A channel to one Redis."""


class SentinelChannel(_Hardened, kombu_redis.SentinelChannel):
    """A channel to the Redis that sentinels name."""


class Transport(kombu_redis.Transport):
    """For `redis://`, `rediss://` and `redis+socket://`."""

    Channel = Channel


class SentinelTransport(kombu_redis.SentinelTransport):
    """For `sentinel://`."""

    Channel = SentinelChannel


def register() -> None:
    """Make kombu use these transports for Redis URLs; twice does no harm."""
    kombu.transport.TRANSPORT_ALIASES.update(ALIASES)
    for alias in ALIASES:
        kombu.transport._transport_cache.pop(alias, None)  # noqa: SLF001 - it has no other way to forget
