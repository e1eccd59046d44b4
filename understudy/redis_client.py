"""Connections to Redis, from one URL: a server, TLS, a socket, or the master that sentinels name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError

if TYPE_CHECKING:
    from understudy.settings import Settings

SENTINEL_PORT = 26_379
CONNECT_S = 1.0
"""A call is refused within a second where Redis is out of reach."""

REPLY_S = 5.0
"""Above the longest script, far below any lease. A connection that blocks on a stream needs a longer one."""

MAX_CONNECTIONS = 64
"""Of one client; who finds all busy waits, up to `REPLY_S`. Commands take well under a millisecond each."""


def redis_from(
    settings: Settings,
    *,
    reply_s: float | None = REPLY_S,
    max_connections: int = MAX_CONNECTIONS,
    **options: Any,
) -> Redis:
    """A client of the Redis that REDIS_URL names; it connects at the first command.

    A command is sent once more where the connection turns out to be closed, as after a restart of the server, and never
    after a reply that did not come in time.

    Args:
        settings: for REDIS_URL and the sentinels' variables.
        reply_s: how long to wait for a reply, in seconds; None waits for ever.
        max_connections: of this client.
        options: for redis-py; `decode_responses` is on unless it says otherwise.
    """
    url = settings.redis_url
    options = {
        "decode_responses": True,
        "socket_connect_timeout": CONNECT_S,
        "socket_timeout": reply_s,
        "retry": Retry(NoBackoff(), 1, supported_errors=(RedisConnectionError,)),
        "max_connections": max_connections,
        **options,
    }
    if not url.startswith("sentinel://"):
        pool = BlockingConnectionPool.from_url(_cert_reqs(url), timeout=reply_s or REPLY_S, **options)
        return Redis.from_pool(pool)
    nodes, server = sentinel_nodes(url)
    password = settings.understudy_sentinel_password
    sentinel_options: dict[str, Any] = {"socket_connect_timeout": CONNECT_S, "socket_timeout": CONNECT_S}
    if password is not None:
        sentinel_options["password"] = password.get_secret_value()
    sentinel = Sentinel(nodes, sentinel_kwargs=sentinel_options)  # type: ignore[no-untyped-call]
    client: Redis = sentinel.master_for(settings.understudy_sentinel_master or "", **{**server, **options})
    return client


async def now_ms(redis: Redis) -> int:
    """The time by the server's clock, by which all records are kept, in milliseconds."""
    seconds, micros = await redis.time()
    return int(seconds) * 1000 + int(micros) // 1000


def sentinel_nodes(url: str) -> tuple[list[tuple[str, int]], dict[str, Any]]:
    """The sentinels of a ``sentinel://`` URL, and user, password and db of the servers they watch.

    The first part speaks for all: ``sentinel://:password@one:26379;two:26379/0``; the path may stand on any part.
    """
    parts = [urlsplit(part if "://" in part else f"sentinel://{part}") for part in url.split(";")]
    server: dict[str, Any] = {"db": next((int(part.path[1:]) for part in parts if part.path[1:].isdigit()), 0)}
    if parts[0].username:
        server["username"] = unquote(parts[0].username)
    if parts[0].password:
        server["password"] = unquote(parts[0].password)
    return [(part.hostname or "", part.port or SENTINEL_PORT) for part in parts], server


def celery_url(url: str) -> str:
    """The URL as Celery and kombu want it, for broker and result backend; RabbitMQ's is left alone."""
    scheme, _, rest = url.partition("://")
    if scheme == "rediss":
        # Celery's result backend refuses to start where the URL does not say it.
        return _cert_reqs(url, default="required")
    if scheme == "unix":
        path, _, query = rest.rpartition("@")[2].partition("?")
        given = dict(parse_qsl(query))
        user, at, _ = rest.rpartition("@")
        db = f"?{urlencode({'virtual_host': given['db']})}" if "db" in given else ""
        return f"redis+socket://{user}{at}{path}{db}"
    if scheme == "sentinel":
        nodes, server = sentinel_nodes(url)
        user, at, _ = urlsplit(url.partition(";")[0]).netloc.rpartition("@")
        return ";".join(f"sentinel://{user}{at}{host}:{port}/{server['db']}" for host, port in nodes)
    return url


def _cert_reqs(url: str, default: str | None = None) -> str:
    """The URL with redis-py's word for `ssl_cert_reqs`, which Celery understands too, where it has Celery's own."""
    if not url.startswith("rediss://"):
        return url
    base, _, query = url.partition("?")
    given = dict(parse_qsl(query))
    wanted = given.get("ssl_cert_reqs", default)
    if wanted is None:
        return url
    given["ssl_cert_reqs"] = wanted.lower().removeprefix("cert_")
    return f"{base}?{urlencode(given)}"
