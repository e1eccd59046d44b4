"""The stack in the foreground, run as an operator does."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from bot_client import Understudy
from tests.support.command_line import announce
from tests.support.ledger import Drive
from tests.support.polling import aeventually, eventually
from tests.support.scrape import get
from tests.support.up_process import UP, UpProcess
from understudy.state.keys import Keys
from workers.stand_in import StandInProcess
from workers.supervised import pause_s

if TYPE_CHECKING:
    import redis.asyncio as redis_asyncio

# Whole stacks start and end, on cores that others use.
pytestmark = pytest.mark.timeout(300)

JSON = (*UP, "--json", "--no-flower", "--no-batch", "--state", "state")
THROWAWAY = (*JSON, "--throwaway")


def put(url: str, body: dict[str, Any]) -> None:
    request = urllib.request.Request(url, json.dumps(body).encode(), method="PUT")
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=5) as response:
        assert response.status == 200


async def every_queue_is_consumed(llm: Understudy) -> bool:
    return all(row.concurrency for row in await llm.provider_status())


def client_of(report: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> Understudy:
    for name, value in report["env"].items():
        monkeypatch.setenv(name, value)
    return Understudy.from_settings(env_file=None)


def test_it_says_how_to_talk_to_it_and_ends_in_order(tmp_path: Path) -> None:
    with UpProcess(tmp_path, *UP, "--state", ".run") as up:
        told = up.says("Ctrl-C ends it all.")
        commands = re.search(r"in this folder:\n\n(.*?)\n\nTo see what happens", told, re.DOTALL)
        assert commands
        script = "set -e\n" + commands[1].replace("\n  ", "\n")
        shell = subprocess.run(
            ["sh", "-c", script], cwd=tmp_path, env=up.env, capture_output=True, text=True, check=False
        )
        assert shell.returncode == 0, shell.stderr
        assert "violation: spam" in shell.stdout
        assert shell.stdout.endswith("by ollama\n")
        fate = re.search(r"http://\S+/fate", told)
        assert fate
        put(fate[0], {"refuse": True})
        shell = subprocess.run(
            ["sh", "-c", script], cwd=tmp_path, env=up.env, capture_output=True, text=True, check=False
        )
        assert shell.stdout.endswith("by openai\n")
        flower = re.search(r"Flower +(http://127\.0\.0\.1:\d+)", told)
        assert flower
        with urllib.request.urlopen(f"{flower[1]}/workers") as page:
            seen = page.read()
        assert all(f"{name}@".encode() in seen for name in ("ollama", "openai", "ollama.batch", "openai.batch"))
        assert f"{flower[1]}/providers" in told
        with urllib.request.urlopen(f"{flower[1]}/providers/api") as page:
            shown = json.load(page)
        assert (shown["who"], shown["may_act"]) == ("local", True)
        assert Path(tmp_path / ".run" / "env").stat().st_mode & 0o077 == 0
        up.signal(signal.SIGINT)
        assert up.ended() == 0
    assert "workers finish what they have begun" in up.said
    assert "Traceback" not in up.said
    assert "Warm shutdown" in (tmp_path / ".run" / "worker-ollama.log").read_text()
    assert not (tmp_path / ".run" / "env").exists()


async def test_what_dies_is_started_again_and_what_was_answered_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with UpProcess(tmp_path, *JSON) as up:
        report = up.report()
        with UpProcess(tmp_path, *JSON) as second:
            assert second.ended() == 1
            assert "Another stack is running with its state in" in second.said
        for number in report["pids"].values():
            os.kill(number, signal.SIGKILL)
        for name in ("worker-ollama", "worker-openai", "stand-in-ollama", "stand-in-openai"):
            up.says(f"{name} was ended by SIGKILL")
            up.says(f"{name} runs again.")
        up.says("Redis had ended; it runs again.")
        async with client_of(report, monkeypatch) as llm:
            await aeventually(lambda: every_queue_is_consumed(llm))
            call = await llm.submit("moderation", {"text": "hello there"})
            assert (await call.result()).provider == "ollama"
        # Started again, each worker serves its metrics where it did.
        assert set(report["metrics"]) == {"ollama", "openai"}
        for url in report["metrics"].values():
            assert eventually(lambda: get(url.removesuffix("/metrics"), "/readyz").status == 200)  # noqa: B023 - at once
        # The end of its standard input, as when the program that started it is gone.
        assert up.process.stdin
        up.process.stdin.close()
        assert up.ended() == 0
    with UpProcess(tmp_path, *JSON) as up:
        async with client_of(up.report(), monkeypatch) as llm:
            assert (await (await llm.call(call.id)).result()).provider == "ollama"
        up.signal(signal.SIGTERM)
        assert up.ended() == 0


def test_killed_its_children_die_and_the_next_one_clears_up(tmp_path: Path) -> None:
    with UpProcess(tmp_path, *THROWAWAY) as up:
        report = up.report()
        assert len(report["pids"]) == 5
        up.process.kill()
        up.process.wait()
        eventually(lambda: not up.left())
    assert Path(report["logs"]).exists()
    with UpProcess(tmp_path, *THROWAWAY) as up:
        assert up.process.stdin
        up.process.stdin.close()
        assert up.ended() == 0
    assert list(tmp_path.glob("state/*")) == []


async def test_a_redis_where_others_work_is_refused(tmp_path: Path, redis_url: str, redis: redis_asyncio.Redis) -> None:
    await announce(Drive(redis, "u:"), "ollama")
    with UpProcess(tmp_path, *JSON, REDIS_URL=redis_url) as up:
        assert up.ended() == 1
        assert "1 workers consume already" in " ".join(up.said.split())
    await redis.flushall()
    await redis.zadd(Keys("u:").waiting("openai"), {"a call": 1})
    with StandInProcess() as ollama, UpProcess(tmp_path, *JSON, REDIS_URL=redis_url, OLLAMA_URL=ollama.base_url) as up:
        assert up.ended() == 1
        assert "Calls wait on openai" in " ".join(up.said.split())


async def test_the_redis_and_the_provider_that_are_there_are_used(
    tmp_path: Path, redis_url: str, redis: redis_asyncio.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    third = [
        {"name": "third", "base_url": "http://127.0.0.1:9/v1", "model": "m", "paid": False, "api_key_env": "THIRD"}
    ]
    with StandInProcess() as ollama:
        named = {"REDIS_URL": redis_url, "OLLAMA_URL": ollama.base_url, "UNDERSTUDY_PROVIDERS": json.dumps(third)}
        with UpProcess(tmp_path, *JSON, **named) as up:
            report = up.report()
            assert [(row["name"], row["real"]) for row in report["providers"]] == [
                ("ollama", True), ("third", False), ("openai", False)
            ]  # fmt: skip
            assert "REDIS_URL" not in report["env"]
            monkeypatch.setenv("REDIS_URL", redis_url)
            async with client_of(report, monkeypatch) as llm:
                assert (await llm.moderate("hello there")).provider == "ollama"
                await llm.force_provider("third", why="to see its stand-in answer")
                assert (await llm.moderate("hello there")).provider == "third"
            up.signal(signal.SIGTERM)
            assert up.ended() == 0
        assert ollama.running
        assert ollama.counts(records=False)["chat"]["total"] == 1
    assert await redis.dbsize() > 0


@pytest.mark.parametrize(("deaths", "pause"), [(1, 1), (2, 2), (3, 4), (5, 16), (6, 30), (1000, 30)])
def test_the_pause_before_a_restart_doubles_up_to_a_limit(deaths: int, pause: float) -> None:
    assert pause_s(deaths) == pause
