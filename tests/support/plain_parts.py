"""A plain Celery caller as it stands beside the project: broker, result backend and the names of tasks."""

from __future__ import annotations

import json
import os
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Self

import redis as redis_sync
from celery import Celery

from tests.support.polling import aeventually, eventually
from tests.support.warm import LeashedCelery
from tests.support.worker import ROOT

if TYPE_CHECKING:
    from pathlib import Path

    from celery.canvas import Signature
    from celery.result import AsyncResult

    from tests.support.stack import Look

LIMIT_S = 60

REQUESTS: dict[str, dict[str, Any]] = {
    "moderation": {"text": "hello there"},
    "thread_naming": {"first_message": "How do I keep tomatoes alive on a balcony?"},
    "agent_turn": {"messages": [{"role": "user", "content": "What is a lease?"}]},
}


def got(result: Any) -> Any:
    """What Celery gives a caller who waits, in the thread that sent it; raises what it raises."""
    return result.get(timeout=LIMIT_S)


async def celery_is_told(look: Look, *ids: str, in_rounds: int = 0) -> None:
    """Wait until the ledger knows that Celery has the outcomes of these calls.

    Args:
        in_rounds: how often the reconciler had a call told; 0 where the worker that ended it did.
    """
    for call_id in ids:

        async def told(call_id: str = call_id) -> bool:
            return (await look.record(call_id)).told

        await aeventually(told)
        tells: Any = await look.redis.hget(look.keys.call(call_id), "tells")
        assert int(tells or 0) == in_rounds


class PlainCaller:
    """A Celery application of a bot, with nothing but broker and backend, and its own worker for the queue `bot`.

    Args:
        directory: where its worker logs.
    """

    def __init__(self, directory: Path, broker_url: str, redis_url: str) -> None:
        self.app = Celery("bot", broker=broker_url, backend=redis_url)
        self.log = directory / "bot.log"
        self._redis_url = redis_url
        self._env = {**os.environ, "BOT_BROKER": broker_url, "BOT_BACKEND": redis_url, "PYTHONPATH": str(ROOT)}
        self._worker: LeashedCelery | None = None

    def __enter__(self) -> Self:
        args = ["-A", "tests.support.plain_app", "worker"]
        args += ["-P", "solo", "-Q", "bot", "-l", "INFO", "-n", "bot@test", "--without-mingle", "--without-gossip"]
        with self.log.open("ab") as output:
            self._worker = LeashedCelery(args, self._env, output.fileno())
        eventually(lambda: "ready." in self.log.read_text(encoding="utf-8", errors="replace"))
        return self

    def __exit__(self, *_: object) -> None:
        if self._worker:
            self._worker.kill()
        self.app.close()

    def call(
        self, kind: str = "moderation", text: str | None = None, queue: str = "ollama", **options: Any
    ) -> Signature:
        """The signature of a call, immutable, as a link of a chain has to be.

        Args:
            text: of a moderation; else the kind's usual request.
            options: of the call, such as `deadline_s`.
        """
        kwargs: dict[str, Any] = {"request": REQUESTS[kind] if text is None else {"text": text}}
        if options:
            kwargs["call"] = options
        return self.app.signature(kind, kwargs=kwargs, queue=queue, immutable=True)

    def keep(self) -> Signature:
        """The signature of the bot's own task, which returns what it is given."""
        return self.app.signature("bot.keep", queue="bot")

    def send(self, kind: str = "moderation", *args: Any, **kwargs: Any) -> AsyncResult:
        """Send whatever it is to ollama's queue."""
        return self.app.send_task(kind, args=args, kwargs=kwargs, queue="ollama")

    def stored(self, call_id: str) -> dict[str, Any]:
        """A result as the JSON backend holds it; empty where it holds none."""
        with redis_sync.Redis.from_url(self._redis_url) as client:
            found: Any = client.get(f"celery-task-meta-{call_id}")
        return json.loads(found) if found else {}


class Eavesdropper:
    """All the events of the workers, as Flower receives them."""

    def __init__(self, client: Celery) -> None:
        self.events: list[dict[str, Any]] = []
        self._client, self._over = client, False
        self._receiver: Any = None
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        eventually(lambda: "worker-heartbeat" in self.types())
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def types(self) -> set[str]:
        """Which kinds of event came."""
        return {event["type"] for event in list(self.events)}

    def showed(self, kind: str, call_id: str) -> bool:
        """Whether an event of this kind came for a task."""
        return any((event["type"], event.get("uuid")) == (kind, call_id) for event in list(self.events))

    def stop(self) -> None:
        """Listen no longer."""
        self._over = True
        if self._receiver is not None:
            self._receiver.should_stop = True
        self._thread.join(5)

    def _listen(self) -> None:
        with self._client.connection() as connection:
            self._receiver = self._client.events.Receiver(connection, handlers={"*": self.events.append})
            self._receiver.should_stop = self._over
            # Once for all of it: whoever listens anew, hears nothing of what was said in between.
            with suppress(OSError, redis_sync.RedisError):  # the server is gone, as at the end of the run
                self._receiver.capture(limit=None, timeout=None, wakeup=False)
