"""The whole system as an operator runs it: Redis, a stand-in for each provider, workers, clients; all on loopback."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import redis as redis_sync

from bot_client import Understudy
from tests.support.polling import aeventually
from tests.support.redis_server import RedisServer
from tests.support.worker import Worker
from understudy.providers import providers_from
from understudy.redis_client import redis_from
from understudy.settings import load_settings
from understudy.state.health import Health, Snapshot
from understudy.state.keys import Keys
from understudy.state.ledger import Ledger
from workers.stand_in import Fate, StandInProcess

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    import pytest
    from redis.asyncio import Redis

    from understudy.settings import Settings
    from understudy.state.record import Record
    from workers.local_redis import Flavour

MODELS = {"ollama": "llama3.2", "openai": "gpt-stand-in"}
PRICE = {"input": 0.15, "output": 0.6, "cached_input": 0.075, "date": "2026-11-01"}
"""Of every paid stand-in, in US dollars for a million tokens."""

GOOD = Fate()
BOTH = {"ollama": 16, "openai": 16}
"""A worker for each queue, with the default concurrency."""

START_LIMIT_S = 60.0


@dataclass(frozen=True)
class Look:
    """What a test reads of the shared state."""

    redis: Redis
    ledger: Ledger
    health: Health
    keys: Keys

    async def record(self, call_id: str) -> Record:
        """A call's record, which must be there."""
        record = await self.ledger.record(call_id)
        assert record is not None, f"call {call_id} has no record"
        return record

    async def breaker(self, provider: str = "ollama") -> str:
        """The state of a provider's breaker."""
        return (await self.health.snapshot()).breaker(provider).state

    async def lease_runs_out(self, call_id: str) -> None:
        """Let a running call's lease be over, as it is 10 s after its worker died."""
        await self.redis.hset(self.keys.call(call_id), "lease", "1")
        await self.redis.zadd(self.keys.due(), {call_id: 1}, xx=True)

    async def ends_told(self, ids: Iterable[str]) -> Counter[str]:
        """How many terminal events each of these calls had, over all inboxes."""
        wanted, ends = set(ids), Counter[str]()
        async for key in self.redis.scan_iter(f"{self.keys.prefix}inbox:*", count=1000):
            rows: Any = await self.redis.xrange(key)
            for _, fields in rows:
                if fields.get("id") in wanted and fields["type"] in ("done", "failed"):
                    ends[fields["id"]] += 1
        return ends


class Stack:
    """Starts everything at once, and ends everything.

    Args:
        directory: for data and logs.
        workers: concurrency of each worker, by the queues it consumes.
        appendonly: whether Redis keeps its data over a restart.
        settings, more: of the installation, for workers and clients alike, by their names in the environment.
    """

    def __init__(
        self,
        directory: Path,
        flavour: Flavour,
        *,
        workers: Mapping[str, int] = BOTH,
        appendonly: bool = False,
        settings: Mapping[str, str] | None = None,
        **more: str,
    ) -> None:
        self.redis = RedisServer(directory / "redis", flavour, appendonly=appendonly)
        self.providers = {name: StandInProcess(name, model) for name, model in MODELS.items()}
        self.workers: dict[str, Worker] = {}
        self.directory = directory
        self._wanted = dict(workers)
        self._more = {**(settings or {}), **more}
        self.environment: dict[str, str] = {}

    @property
    def ollama(self) -> StandInProcess:
        """The primary."""
        return self.providers["ollama"]

    @property
    def openai(self) -> StandInProcess:
        """The fallback."""
        return self.providers["openai"]

    @property
    def settings(self) -> Settings:
        """Of a client."""
        return load_settings(env_file=None, **{name.lower(): value for name, value in self.environment.items()})

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End everything."""
        ends = [worker.kill for worker in self.workers.values()]
        ends += [provider.kill for provider in self.providers.values()]
        _all_at_once(ends)
        self.redis.kill()

    def client(self, **overrides: Any) -> Understudy:
        """A client of its own, to be entered."""
        return Understudy(self.settings.model_copy(update=overrides))

    @asynccontextmanager
    async def look(self) -> AsyncIterator[Look]:
        """A view of the shared state."""
        settings, keys = self.settings, Keys(self.settings.understudy_prefix)
        async with redis_from(settings) as redis:
            yield Look(redis, Ledger(redis, keys), Health(redis, keys, providers_from(settings)), keys)

    async def announced(self, *names: str, limit_s: float = START_LIMIT_S) -> None:
        """Wait until these workers, or all, consume and have said so."""
        wanted = [self.workers[name] for name in names or self.workers]
        async with self.look() as look:

            def missing(seen: Snapshot) -> list[str]:
                pids = {str(row["id"]).rsplit("-", 2)[-2] for row in seen.workers}
                return [worker.name for worker in wanted if str(worker.pid) not in pids]

            async def all_there() -> bool:
                dead = [worker.tail() for worker in wanted if not worker.alive]
                assert not dead, "\n".join(dead)
                left = missing(await look.health.snapshot())
                assert not left, f"not announced: {left}"
                return True

            await aeventually(all_there, limit_s=limit_s)

    async def renew(self) -> None:
        """As new for the next test: workers started, providers well, no open calls, nothing counted, nothing listed."""
        for provider in self.providers.values():
            if provider.fate != GOOD:
                provider.set_fate(GOOD)
        for worker in self.workers.values():
            if worker.alive:
                worker.thaw()
            else:
                worker.kill()
                worker.start()
        await self.announced()
        async with self.look() as look:
            left: Any = await look.redis.zrange(look.keys.due(), 0, -1)
            for call_id in left:
                await look.ledger.cancel(call_id, operator=True)
            await aeventually(lambda: all(self.running(name) == 0 for name in self.providers))
            for configured in look.health.providers:
                await look.health.clear(configured)
            for shown in ("stat:*", "ended*", "fallbacks", "audit*"):
                async for key in look.redis.scan_iter(look.keys.prefix + shown):
                    await look.redis.delete(key)
        for provider in self.providers.values():
            provider.clear_counts()

    def counts(self, provider: str) -> dict[str, Any]:
        """What came in at a provider: `total` (without probes), `now`, `aborted`, `outcomes`."""
        counts: dict[str, Any] = self.providers[provider].counts(records=False)["chat"]
        return counts

    def running(self, provider: str) -> int:
        """Requests that a provider works on."""
        return int(self.counts(provider)["now"])

    def requests(self) -> int:
        """Requests that all providers got, without probes."""
        return sum(int(self.counts(name)["total"]) for name in self.providers)

    def broker(self) -> redis_sync.Redis:
        """A blocking client of the broker; a queue is a list of its name."""
        return redis_sync.Redis.from_url(self.redis.url(), decode_responses=True)

    def logs(self) -> str:
        """The ends of all workers' logs."""
        return "\n".join(worker.tail() for worker in self.workers.values())

    @contextmanager
    def shown_on_failure(self, session: pytest.Session) -> Iterator[Self]:
        """Print the workers' logs where a test fails within it."""
        before = session.testsfailed
        yield self
        if session.testsfailed > before:
            print(self.logs())

    def _start(self) -> None:
        _all_at_once([self.redis.start, *(provider.start for provider in self.providers.values())])
        self.environment = {
            "REDIS_URL": self.redis.url(),
            "OLLAMA_URL": self.ollama.base_url,
            "OLLAMA_MODEL_NAME": MODELS["ollama"],
            "OPENAI_BASE_URL": self.openai.base_url,
            "OPENAI_MODEL_NAME": MODELS["openai"],
            "OPENAI_API_KEY": "sk-made-up",
            # no budget, for what a test spends is its own matter
            "UNDERSTUDY_BUDGET_DAY_USD": "none",
            # a provider that a test stops is found out by its calls alone
            "UNDERSTUDY_WATCH": "false",
            **self._more,
        }
        self.environment.setdefault("UNDERSTUDY_PRICES", _prices(self.environment))
        for queues, concurrency in self._wanted.items():
            worker = Worker(self.directory, queues.replace(",", "-"), queues, concurrency, self.environment)
            self.workers[worker.name] = worker
            worker.start()
        asyncio.run(self.announced())


def _prices(environment: Mapping[str, str]) -> str:
    """A price for the model of each paid provider."""
    entries = json.loads(environment.get("UNDERSTUDY_PROVIDERS", "[]"))
    models = [environment["OPENAI_MODEL_NAME"], *(entry["model"] for entry in entries if entry["paid"])]
    return json.dumps(dict.fromkeys(models, PRICE))


def _all_at_once(parts: Iterable[Callable[[], object]]) -> None:
    with ThreadPoolExecutor() as pool:
        for part in [pool.submit(part) for part in parts]:
            part.result()
