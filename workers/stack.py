"""Everything that a call needs, on one machine: Redis, a worker for each queue, stand-ins for what is not there."""

from __future__ import annotations

import importlib.util
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from understudy.errors import SettingsError
from understudy.providers import Provider, providers_from
from understudy.settings import load_settings
from workers.flower_page.visitor import LOCAL
from workers.local_redis import LocalRedis, free_port, free_ports
from workers.own_database import claim_database, release_database, require_unused
from workers.presence import Presence, address_env, missing_keys, missing_prices, presence
from workers.readiness import flower_answers, workers_consume
from workers.supervised import Supervised

if TYPE_CHECKING:
    from collections.abc import Callable

    from workers.stop import Stop

ROOT = Path(__file__).resolve().parents[1]
START_S = 60.0
"""On two busy cores the workers need 5 s."""

AFTER_GRACE_S = 10.0
"""What a worker needs beyond its grace time to hand calls back and end."""

END_S = 5.0
LOOK_S = 0.1


class StackError(RuntimeError):
    """A part of the stack did not start; the message holds the end of its log."""


@dataclass(frozen=True)
class Plan:
    """What kind of stack it is to be.

    Args:
        throwaway: nothing is kept; on a Redis that REDIS_URL names, an empty database is used and emptied again.
        relay: a primary that is really there gets a relay in front, which can be cut.
        flower: with Flower, where it is installed.
        batch: with a small worker for each batch queue.
    """

    throwaway: bool = False
    relay: bool = False
    flower: bool = True
    batch: bool = True


class Stack:
    """Starts the parts in order, starts again what dies, and ends them in order.

    Args:
        folder: for data and logs.
        stop: heeded while it starts and ends.
    """

    def __init__(self, folder: Path, plan: Plan, stop: Stop) -> None:
        self.folder = folder
        self.plan = plan
        self._stop = stop
        self.redis: LocalRedis | None = None
        self.flower_url: str | None = None
        self.metrics: dict[str, str] = {}
        """Where the worker of each queue serves them."""
        self.providers: list[Presence] = []
        self.endpoints: dict[str, dict[str, Any]] = {}
        self.settings = load_settings()
        self._own_redis = "redis_url" not in self.settings.model_fields_set
        self._claimed = False
        self._at: dict[str, Supervised] = {}
        self._workers: dict[str, Supervised] = {}
        self._flower: Supervised | None = None
        self._redis_again_at = 0.0
        self.env: dict[str, str] = {}

    def start(self) -> None:
        """Start everything and wait until calls can be answered; returns early when asked to stop.

        Raises:
            SettingsError: a setting is wrong, or the Redis that it names cannot be used.
            StackError: a part did not start.
        """
        for step in (self._find_providers, self._start_redis, self._start_endpoints, self._start_workers, self._wait):
            if not self._stop.asked:
                step()

    def tend(self) -> list[str]:
        """Start again what has died; sentences for the reader."""
        now = time.monotonic()
        said = [self._tend_redis(now), *(part.tend(now) for part in self._parts)]
        return [sentence for sentence in said if sentence]

    def end(self) -> None:
        """End everything: first the workers, which hand back what they cannot finish, last Redis."""
        for part in self._parts[::-1]:
            if part not in self._at.values():
                part.ask_to_end()
        limit_s = self.settings.understudy_shutdown_grace_s + AFTER_GRACE_S
        for worker in self._workers.values():
            worker.end(limit_s, lambda: self._stop.hurry)
        rest = [*([self._flower] if self._flower else []), *self._at.values()]
        for part in rest:
            part.ask_to_end()
        for part in rest:
            part.end(END_S, lambda: self._stop.hurry)
        if self._claimed:
            release_database(self.settings, [found.provider for found in self.providers])
        if self.redis:
            self.redis.stop()

    def report(self) -> dict[str, Any]:
        """Where everything is, as JSON; `env` is what a client needs beside the environment of this process."""
        return {
            "env": self.env,
            "redis": self.redis_words,
            "providers": [
                {
                    "name": found.provider.name,
                    "model": found.provider.model,
                    "paid": found.provider.paid,
                    "real": found.real,
                    "words": self.provider_words(found),
                    "admin_url": self.endpoints.get(found.provider.name, {}).get("admin_url"),
                }
                for found in self.providers
            ],
            "flower": self.flower_url,
            "metrics": self.metrics,
            "pids": {part.name: part.pid for part in self._parts} | ({"redis": self.redis.pid} if self.redis else {}),
            "logs": str(self.folder),
            "pid": os.getpid(),
        }

    @property
    def redis_words(self) -> str:
        """What the reader is told about Redis."""
        if self.redis:
            return f"{self.redis.binary.source}, on 127.0.0.1:{self.redis.port}"
        number = self.settings.redis_url.rpartition("/")[2]
        return f"the one that REDIS_URL names{f', its empty database {number}' if self._claimed else ''}"

    def provider_words(self, found: Presence) -> str:
        """What the reader is told about a provider."""
        if found.real:
            through = " through a relay, which can be cut" if found.provider.name in self.endpoints else ""
            return f"the real one: it {found.why}{through}"
        url = self.endpoints.get(found.provider.name, {}).get("base_url", "loopback")
        return f"a stand-in, at {url}: the real one {found.why}"

    @property
    def stand_ins(self) -> list[Provider]:
        """The providers whose place a stand-in takes."""
        return [found.provider for found in self.providers if not found.real]

    @property
    def queues(self) -> list[str]:
        """The queues that have a worker here."""
        return list(self._workers)

    @property
    def _parts(self) -> list[Supervised]:
        return [*self._at.values(), *self._workers.values(), *([self._flower] if self._flower else [])]

    def _find_providers(self) -> None:
        keys = missing_keys(self.settings)
        self.env |= keys
        # A key that an entry of UNDERSTUDY_PROVIDERS names is read from the environment alone.
        os.environ.update(keys)
        self.settings = load_settings()
        with ThreadPoolExecutor() as pool:
            self.providers = list(pool.map(presence, providers_from(self.settings)))
        self.env |= missing_prices(self.settings, self.providers)

    def _start_redis(self) -> None:
        if self._own_redis:
            if self.settings.broker_url and not self.plan.throwaway:
                raise SettingsError("BROKER_URL is set and REDIS_URL is not: set both, or none of them.")
            self.redis = LocalRedis(self.folder / "redis", appendonly=not self.plan.throwaway)
            self.redis.start()
            self._use_redis(self.redis.url())
        elif self.plan.throwaway:
            url = claim_database(self.settings)
            self._claimed = True
            self._use_redis(url)
        else:
            require_unused(self.settings, self.stand_ins)

    def _use_redis(self, url: str) -> None:
        self.env["REDIS_URL"] = url
        if self.plan.throwaway:
            self.env["BROKER_URL"] = url
        update = {"redis_url": url, "broker_url": self.env.get("BROKER_URL")}
        self.settings = self.settings.model_copy(update=update)

    def _start_endpoints(self) -> None:
        for place, found in enumerate(self.providers):
            provider = found.provider
            if not found.real:
                command = [sys.executable, "-m", "workers.stand_in", "--name", provider.name, "--model", provider.model]
                self._start_endpoint(provider.name, f"stand-in-{provider.name}", command)
            elif self.plan.relay and place == 0:
                command = [sys.executable, "-m", "workers.relay", "--name", provider.name, "--to", provider.base_url]
                self._start_endpoint(provider.name, f"relay-{provider.name}", command)
        for name, part in self._at.items():
            said = part.first_line(START_S, lambda: self._stop.asked)
            if self._stop.asked:
                return
            if said is None:
                raise StackError(_not_started(part))
            self.endpoints[name] = said
            # Started again, it is where it was.
            for option, url in (("--port", said["base_url"]), ("--admin-port", said["admin_url"])):
                part.command += [option, url.split("/")[2].rpartition(":")[2]]
        self.env |= address_env(self.settings, self._urls, keys=False)

    def _start_endpoint(self, name: str, part: str, command: list[str]) -> None:
        self._at[name] = Supervised(part, command, self._child_env, self.folder / f"{part}.log")
        self._at[name].start()

    @property
    def _urls(self) -> dict[str, str]:
        return {name: said["base_url"] for name, said in self.endpoints.items()}

    @property
    def _child_env(self) -> dict[str, str]:
        path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
        moved = address_env(self.settings, self._urls, keys=True)
        return {**os.environ, **self.env, **moved, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1"}

    def _start_workers(self) -> None:
        celery = [sys.executable, "-m", "celery", "-A", "workers"]
        # Rows are begun ahead, so that a provider never waits for the next one.
        batch = ["-c", str(self.settings.understudy_batch_concurrency), "--prefetch-multiplier", "2"]
        queues: list[tuple[str, list[str]]] = [(found.provider.queue, []) for found in self.providers]
        queues += [(found.provider.batch_queue, batch) for found in self.providers if self.plan.batch]
        for (queue, more), port in zip(queues, free_ports(len(queues)), strict=True):
            name = f"worker-{queue}"
            command = [*celery, "worker", "-Q", queue, "-n", f"{queue}@%h", "-l", "INFO", *more]
            self.metrics[queue] = f"http://127.0.0.1:{port}/metrics"
            env = self._child_env | {"UNDERSTUDY_METRICS_PORT": str(port), "UNDERSTUDY_METRICS_HOST": "127.0.0.1"}
            self._workers[queue] = Supervised(name, command, env, self.folder / f"{name}.log")
        if self.plan.flower and importlib.util.find_spec("flower"):
            port = free_port()
            self.flower_url = f"http://127.0.0.1:{port}"
            command = [*celery, "flower", "--address=127.0.0.1", f"--port={port}"]
            # It serves this machine alone and asks for no login: whoever sits here may act.
            operators = {"UNDERSTUDY_OPERATORS": ",".join(self.settings.understudy_operators or (LOCAL,))}
            self._flower = Supervised("flower", command, self._child_env | operators, self.folder / "flower.log")
        for part in self._parts:
            if part not in self._at.values():
                part.start()

    def _wait(self) -> None:
        until = time.monotonic() + START_S
        providers = [found.provider for found in self.providers]
        looks: list[Callable[[], bool]] = [lambda: workers_consume(self.settings, providers, batch=self.plan.batch)]
        if url := self.flower_url:
            looks.append(lambda: flower_answers(url))
        for ready in looks:
            while not self._stop.asked and not ready():
                for part in self._parts:
                    if part.pid is None or time.monotonic() > until:
                        raise StackError(_not_started(part))
                time.sleep(LOOK_S)

    def _tend_redis(self, now: float) -> str | None:
        if self.redis is None or self.redis.running or now < self._redis_again_at:
            return None
        self.redis.kill()
        try:
            self.redis.start()
        except SettingsError as error:
            self._redis_again_at = now + END_S
            return f"Redis has ended, and does not start again: {error}"
        return f"Redis had ended; it runs again. Its log: {self.redis.log}"


def _not_started(part: Supervised) -> str:
    return f"{part.name} did not start. The end of its log, {part.log}:\n{part.tail() or '(empty)'}"
