"""What `doctor` looks at in the broker."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kombu import Connection
from redis.exceptions import RedisError

from bot_client.cli.check import Check
from bot_client.cli.installation import redis_fault
from bot_client.cli.patience import in_time
from understudy.redis_client import redis_from
from understudy.urls import mask_url

if TYPE_CHECKING:
    from understudy.settings import Settings

LIMIT_S = 3.0
_HINT = "Start it, or set BROKER_URL to where it is; without BROKER_URL the broker is Redis itself."


async def broker_checks(settings: Settings) -> list[Check]:
    """Whether the broker can be reached."""
    url = settings.broker_url
    if url is None or url == settings.redis_url:
        return [Check("broker", True, "the same Redis")]
    where = mask_url(url)
    fault = await (_amqp_fault(url) if url.startswith("amqp") else _redis_fault(settings, url))
    return [Check("broker", not fault, f"{where} {fault or 'answers'}", _HINT if fault else "")]


async def _redis_fault(settings: Settings, url: str) -> str:
    redis = redis_from(settings.model_copy(update={"redis_url": url}), reply_s=LIMIT_S)
    try:
        await redis.ping()
    except RedisError as error:
        return redis_fault(error)
    finally:
        await redis.aclose()
    return ""


async def _amqp_fault(url: str) -> str:

    def connect() -> None:
        with Connection(url, connect_timeout=LIMIT_S) as connection:
            connection.connect()

    try:
        await in_time(connect, LIMIT_S + 1)
    except TimeoutError:
        return "did not answer in time"
    except Exception as error:  # noqa: BLE001 - transports raise what they like; its text may hold the URL
        name = type(error).__name__
        return "refused the user or password" if name == "AccessRefused" else f"cannot be reached ({name})"
    return ""
