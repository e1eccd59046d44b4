"""Celery's own settings, each with its reason; `celery -A workers worker -Q ollama -c 16` needs nothing else.

What depends on the installation comes from the environment, through `understudy.settings`.
"""

from __future__ import annotations

import ssl
from typing import Any
from urllib.parse import parse_qs, urlsplit

from understudy import queues
from understudy.providers import providers_from
from understudy.settings import Settings, load_settings
from workers import transport

# ── What a worker is made of ──────────────────────────────────────────────────────────────────────────────────────────
# Threads that wait for one asyncio loop; with time limits, terminate and a shutdown that ends.
worker_pool = "workers.pool:TaskPool"
# Refuses what is no task message, instead of dying of it or logging it.
worker_consumer = "workers.consumer:Consumer"
# By name, because nothing in `workers` may import a task.
include = ("tasks.moderation", "tasks.thread_naming", "tasks.agent_turn")

# ── Messages ──────────────────────────────────────────────────────────────────────────────────────────────────────────
# JSON alone: a pickle runs code.
accept_content = ["json"]
task_serializer = result_serializer = event_serializer = "json"
# A worker that dies gives its messages back; the ledger refuses the copies.
task_acks_late = True
task_reject_on_worker_lost = True
# One message for each running task: a prefetched one waits where no other worker can take it, and its time runs. Batch
# workers are started with two, for their rows have time: one is begun while the other is asked.
worker_prefetch_multiplier = 1
# Otherwise a worker would come back from a lost connection at a share of its concurrency.
worker_enable_prefetch_count_reduction = False
# Running attempts go on when the connection drops: each holds a lease, so the redelivered copy is refused, and an
# answer that is paid for is not thrown away.
worker_cancel_long_running_tasks_on_connection_loss = False
# Plain callers may name any queue; ours are declared below.
task_create_missing_queues = True
# Classic and durable, as a plain Celery caller declares them; a quorum queue brings a delivery limit, and cannot be
# declared by who expects a classic one. What a broken disk loses, the ledger recovers.
task_default_queue_type = "classic"
# The pool's tasks publish again from many threads; each holds a connection for a moment only.
broker_pool_limit = 20
# Bounded, because a thread that publishes holds a job.
broker_pool_acquire_timeout = 5
task_publish_retry_policy = {"max_retries": 3, "interval_start": 0.1, "interval_step": 0.3, "interval_max": 1}

# ── The broker's connection ───────────────────────────────────────────────────────────────────────────────────────────
# A worker outlives any outage, also one at its start; the default gives up after 100 tries and exits.
broker_connection_retry = broker_connection_retry_on_startup = True
broker_connection_max_retries = None
# Also for an error of one channel, such as a queue that was deleted by hand.
broker_channel_error_retry = True
broker_connection_timeout = 4
# RabbitMQ: a peer that vanished is noticed within a minute.
broker_heartbeat = 30

# ── Results ───────────────────────────────────────────────────────────────────────────────────────────────────────────
# For plain Celery callers; a day, as long as the ledger's own record.
result_expires = 86_400
# The default would leave a finished task without its result at the first lost connection. Finite: some 15 s when Redis
# refuses at once, so that a thread is not held for ever; the ledger tells a plain caller's result again.
result_backend_always_retry = True
result_backend_max_retries = 20
result_backend_base_sleep_between_retries_ms = 500
result_backend_max_sleep_between_retries_ms = 2_000
# One backend, and one connection pool, for all threads instead of one for each.
result_backend_thread_safe = True
# Not a limit: redis-py's own pools stop at 100 connections and raise, and a worker may have more threads.
redis_max_connections = 10_000
# Both default to for ever: a Redis that hangs without closing its sockets would hold every thread.
redis_socket_timeout = 5.0
redis_socket_connect_timeout = 3.0
redis_socket_keepalive = True
# A connection that idled longer is tried before it carries a result.
redis_backend_health_check_interval = 10
# A third write for each task, which nobody reads: the ledger knows who runs it.
task_track_started = False
# It would store the arguments.
result_extended = False

# ── What can be seen ──────────────────────────────────────────────────────────────────────────────────────────────────
# For Flower; they hold kind, id and time.
worker_send_task_events = True
# The sender's event holds a repr of the arguments.
task_send_sent_event = False
# The root logger belongs to the application's own set-up of logs.
worker_hijack_root_logger = False
worker_redirect_stdouts = False

# ── Waiting ───────────────────────────────────────────────────────────────────────────────────────────────────────────
# The ledger's retries have their own times; Celery's rate limits only cost a look-up for each message.
worker_disable_rate_limits = True
enable_utc = True
timezone = "UTC"

REDIS_OPTIONS: dict[str, Any] = {
    # A killed worker's messages come back after a minute. Early redelivery is harmless: the lease decides.
    "visibility_timeout": 60,
    # The defaults look every 100 s only; the lock of a worker that died while looking is held 300 s.
    "unacked_restore_interval": 1,
    "unacked_restore_throttle": 1,
    "unacked_mutex_expire": 10,
    # For ever is the default. Shorter than for results, because these commands hold up the thread that consumes, also
    # while it shuts down.
    "socket_timeout": 3.0,
    "socket_connect_timeout": 2.0,
    "socket_keepalive": True,
    # A BRPOP without a reply for this long (and its own second) is given up, and the connection made anew.
    "health_check_interval": 5,
}
AMQP_OPTIONS: dict[str, Any] = {
    # Without it a publish that the broker refuses is lost in silence. RabbitMQ's own `consumer_timeout` (30 min by
    # default) must stay above the longest deadline of a call.
    "confirm_publish": True,
}
RESULT_OPTIONS: dict[str, Any] = {
    # Within each of the retries above; the default waits 20 s in each.
    "retry_policy": {"max_retries": 1, "interval_start": 0.1, "interval_step": 0.1, "interval_max": 0.2},
}


def from_settings(settings: Settings) -> dict[str, Any]:
    """The part of Celery's settings that depends on the installation."""
    broker = settings.broker_url or settings.redis_url
    on_redis = not broker.startswith("amqp")
    sentinel = _sentinel(settings)
    declared = queues.declared(providers_from(settings))
    return {
        "broker_url": _for_kombu(broker),
        "broker_use_ssl": _tls(broker),
        "broker_transport_options": {**REDIS_OPTIONS, **sentinel} if on_redis else AMQP_OPTIONS,
        "result_backend": _for_kombu(settings.redis_url),
        "redis_backend_use_ssl": _tls(settings.redis_url),
        "result_backend_transport_options": {**RESULT_OPTIONS, **sentinel},
        # A worker without -Q consumes them all.
        "task_queues": declared,
        "task_default_queue": declared[0].name,
        "worker_concurrency": settings.understudy_concurrency,
        # Our own: what running jobs get at SIGTERM before they are to hand their calls back.
        "understudy_shutdown_grace_s": settings.understudy_shutdown_grace_s,
    }


def _for_kombu(url: str) -> str:
    """`unix://` as kombu and Celery write it."""
    if not url.startswith("unix://"):
        return url
    parts = urlsplit(url)
    database = parse_qs(parts.query).get("db", ["0"])[0]
    user = f"{parts.netloc.rpartition('@')[0]}@" if "@" in parts.netloc else ""
    return f"redis+socket://{user}{parts.path}?virtual_host={database}"


def _tls(url: str) -> dict[str, Any] | None:
    """Verify the server, unless the URL says otherwise: without a word kombu does not, and Celery refuses to start."""
    return {"ssl_cert_reqs": ssl.CERT_REQUIRED} if url.startswith("rediss://") else None


def _sentinel(settings: Settings) -> dict[str, Any]:
    if settings.understudy_sentinel_master is None:
        return {}
    password = settings.understudy_sentinel_password
    return {
        "master_name": settings.understudy_sentinel_master,
        "sentinel_kwargs": {"password": password.get_secret_value()} if password else {},
    }


# kombu looks transports up by the scheme of the URL, and knows no setting for it that keeps rediss:// and failover.
transport.register()
globals().update(from_settings(load_settings()))
