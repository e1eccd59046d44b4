"""A worker as an operator starts it: the plain Celery command, in a process of its own."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Self

import redis
from celery import Celery

from tests.support.polling import eventually
from tests.support.warm import LeashedCelery

APP = "tests.integration.celery_support.app"


class WorkerProcess:
    """`celery -A … worker -Q q -c N`, with its output in a file.

    Args:
        directory: where its log goes.
        conf: Celery settings as `name=number`, separated by spaces.
    """

    def __init__(
        self,
        directory: Path,
        redis_url: str,
        *,
        broker_url: str = "",
        queues: str = "q",
        concurrency: int = 4,
        level: str = "DEBUG",
        conf: str = "",
        name: str = "w1",
        **environment: str,
    ) -> None:
        self.log = directory / f"{name}.log"
        self.redis_url = redis_url
        self._env = os.environ | {
            "REDIS_URL": redis_url,
            "BROKER_URL": broker_url,
            "UNDERSTUDY_SHUTDOWN_GRACE_S": "1",
            "PYTHONPATH": str(Path.cwd()),
            "PYTHONUNBUFFERED": "1",
            "CONF": conf,
            **environment,
        }
        self._args = ["-A", APP, "worker"]
        self._args += ["-Q", queues, "-c", str(concurrency), "-l", level, "-n", f"{name}@test", "--without-mingle"]
        self.start()

    def start(self) -> None:
        with self.log.open("ab") as output:
            self.process = LeashedCelery(self._args, self._env, output.fileno())

    def __enter__(self) -> Self:
        eventually(self.ready)
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()

    def ready(self) -> bool:
        assert self.process.alive, self.text()
        return "ready." in self.text()

    def text(self) -> str:
        """All that it printed."""
        return self.log.read_text(encoding="utf-8", errors="replace")

    def ended(self, limit_s: float = 30) -> int:
        """Wait until it has ended by itself, and give its exit status."""
        assert self.process.wait(limit_s), self.text()[-3000:]
        code = self.process.exit_code
        assert code is not None
        return code

    def marks(self) -> list[str]:
        """What its hooks and tasks noted."""
        with redis.Redis.from_url(self.redis_url, decode_responses=True) as client:
            found: Any = client.lrange("marks", 0, -1)
            return list(found)

    def marked(self, what: str) -> None:
        """Wait until a hook or task has noted something that begins with `what`."""

        def noted() -> bool:
            assert any(each.startswith(what) for each in self.marks()), (what, self.marks(), self.text()[-3000:])
            return True

        eventually(noted)


def plain_client(redis_url: str, broker_url: str = "") -> Celery:
    """A Celery application that knows nothing of the project, as a plain caller has it."""
    client = Celery("plain", broker=broker_url or redis_url, backend=redis_url)
    client.conf.task_default_queue = "q"
    # kombu's pools are shared by all clients of one address, and other tests on this server cut every connection.
    client.conf.broker_pool_limit = None
    return client
