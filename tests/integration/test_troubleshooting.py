"""What docs/operations.md tells to look at and to do shows the cause and mends it: each symptom is acted out."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from bot_client import AllProvidersFailed, CallError, DeadlineExceeded, Unavailable
from tests.support.command_line import CommandLine
from tests.support.polling import aeventually, eventually
from tests.support.ports import free_port
from tests.support.stack import GOOD, Stack
from tests.support.worker import Worker
from workers.stand_in import Fate

if TYPE_CHECKING:
    from collections.abc import Iterator

    from workers.local_redis import Flavour

pytestmark = pytest.mark.timeout(180)
GUIDE = (Path(__file__).parents[2] / "docs" / "operations.md").read_text(encoding="utf-8")
LIMIT_S = 90.0


class Site(Stack):
    """An installation, and the terminal of its operator."""

    def terminal(self, **settings: str) -> CommandLine:
        """The command line, with other settings than the workers'."""
        rest = {name: value for name, value in {**self.environment, **settings}.items() if name != "REDIS_URL"}
        return CommandLine(self.directory, self.redis.url(), **rest)

    async def see(self, command: str, *words: str, **settings: str) -> None:
        """A command says these words, and the guide has them too."""
        ran = await self.terminal(**settings).run(*command.split())
        assert [word for word in words if word not in f"{ran.out}{ran.err}"] == [], f"{ran.out}{ran.err}"
        assert [word for word in words if word not in GUIDE] == []

    async def do(self, *command: str) -> None:
        """A command that the guide names works."""
        assert f"understudy {command[0]}" in GUIDE
        ran = await self.terminal().run(*command)
        assert ran.status == 0, ran.err

    async def answered_by(self, **options: str) -> str | None:
        """Who answers a call."""
        async with self.client() as llm:
            return (await llm.moderate("hello", deadline_s=LIMIT_S, **options)).provider  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, redis_flavour: Flavour) -> Iterator[Site]:
    workers = {"ollama": 4, "openai": 4}
    settings = {"OLLAMA_TIMEOUT": "3", "UNDERSTUDY_COLD_START_S": "0"}
    with Site(tmp_path_factory.mktemp("site"), redis_flavour, workers=workers, settings=settings) as site:
        yield site


@pytest.fixture
async def site(running: Site) -> Site:
    await running.renew()
    await running.do("clear")
    return running


@pytest.mark.parametrize(
    ("fate", "words"),
    [
        (Fate(status=401), "its key was refused"),
        (Fate(code="insufficient_quota"), "its quota is used up"),
        (Fate(model_missing=True), "the model is missing"),
    ],
)
async def test_the_paid_key_does_not_work(site: Site, fate: Fate, words: str) -> None:
    site.openai.set_fate(fate)
    async with site.client() as llm:
        with pytest.raises((AllProvidersFailed, DeadlineExceeded)):  # it waits for the key, as long as it may
            await llm.moderate("hello", only="openai", deadline_s=4)
    await site.see("status", words)
    site.openai.set_fate(GOOD)
    await site.do("clear", "openai")
    assert await site.answered_by(only="openai") == "openai"


async def test_the_paid_provider_is_absent(site: Site) -> None:
    absent = "The paid provider openai is absent: OPENAI_API_KEY is not set."
    await site.see("doctor", absent, OPENAI_API_KEY="")
    await site.see("doctor", "has no price", "UNDERSTUDY_PRICES", UNDERSTUDY_PRICES="{}")


async def test_everything_goes_to_the_paid_provider_because_it_is_forced(site: Site) -> None:
    await site.do("force", "openai", "--for", "30m", "--why", "a test")
    assert await site.answered_by() == "openai"
    await site.see("status", "Forced: openai by ")
    await site.do("unforce")
    assert await site.answered_by() == "ollama"


async def test_failover_is_too_slow_because_a_provider_hangs(site: Site) -> None:
    site.ollama.set_fate(Fate(silence=True))
    async with site.client() as llm:
        outcome = await llm.moderate("hello")
    assert outcome.provider == "openai"
    await site.see(f"call {outcome.call_id}", "asks ollama", "no first byte in time", "asks openai")


async def test_calls_wait_because_the_queue_is_paused(site: Site) -> None:
    await site.do("pause", "ollama", "--for", "3s", "--why", "a test")
    async with site.client() as llm:
        call = await llm.submit("moderation", {"text": "hello"}, spend="never", deadline_s=60)
        await site.see(f"why {call.id}", "its queue is paused")
        await site.do("resume", "ollama")
        assert (await call).provider == "ollama"


async def test_calls_wait_because_workers_are_busy(site: Site) -> None:
    site.ollama.set_fate(Fate(latency_ms=2_500))
    async with site.client() as llm:
        calls = [await llm.submit("moderation", {"text": "hello"}, spend="never", deadline_s=120) for _ in range(12)]
        await aeventually(lambda: site.running("ollama") == 4)
        await site.see(f"why {calls[-1].id}", "It waits behind ")
        await asyncio.gather(*calls)


async def test_calls_that_failed_in_an_outage_are_run_again(site: Site) -> None:
    site.ollama.set_fate(Fate(status=500))
    async with site.client() as llm:
        call = await llm.submit("moderation", {"text": "hello"}, spend="never", deadline_s=4)
        with pytest.raises(CallError) as failed:
            await call
        assert failed.value.outcome is not None
        cause = str(failed.value.outcome["reason"])  # `no_provider`, or `deadline` where an attempt was running still
        site.ollama.set_fate(GOOD)
        await site.do("clear", "ollama")
        await site.see("calls", cause)
        await site.do("retry", "--cause", cause, "--yes")
        assert (await (await llm.call(call.id))).provider == "ollama"


async def test_a_worker_restarts_again_and_again(site: Site, tmp_path: Path) -> None:
    wrong = Worker(tmp_path, "wrong", "ollama", 1, {**site.environment, "OLLAMA_TIMEOUT": "soon"})
    wrong.start()
    assert await wrong.ended() == 1
    sentence = "OLLAMA_TIMEOUT is 'soon': it must be a number of seconds"
    assert sentence in wrong.text()
    assert sentence in GUIDE
    port = str(free_port())
    first, second = (
        Worker(tmp_path, name, "ollama", 1, {**site.environment, "UNDERSTUDY_METRICS_PORT": port}) for name in "ab"
    )
    try:
        first.start()
        eventually(lambda: "ready." in first.text(), limit_s=LIMIT_S)
        second.start()
        assert await second.ended() == 1
        assert "UNDERSTUDY_METRICS_PORT" in second.text()
    finally:
        first.kill()


async def test_bots_get_unavailable_because_redis_is_full(site: Site) -> None:
    with site.broker() as admin:
        admin.config_set("maxmemory", "1mb")
        try:
            async with site.client() as llm:
                with pytest.raises(Unavailable):
                    await llm.moderate("hello")
            await site.see("doctor", "maxmemory")
        finally:
            admin.config_set("maxmemory", "0")
    assert await site.answered_by() == "ollama"
