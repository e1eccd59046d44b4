"""The demo, run as a reader does."""

from __future__ import annotations

import io
import signal
from typing import TYPE_CHECKING

import pytest
import redis
from rich.console import Console

from bot_client import Unavailable
from examples.demo_board import Board
from examples.demo_stack import DemoStack
from tests.support.polling import eventually
from tests.support.up_process import DEMO, ROOT, UpProcess
from workers.stand_in import StandInProcess

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


# Whole stacks start and end, on cores that others use.
pytestmark = pytest.mark.timeout(300)


def throwaway_folders() -> set[Path]:
    return set(ROOT.glob(".run/throwaway-*"))


@pytest.fixture(autouse=True)
def _no_file_is_left(tmp_path: Path) -> Iterator[None]:
    before = throwaway_folders()
    yield
    # Other demos may run beside this one, and end.
    eventually(lambda: throwaway_folders() <= before, limit_s=90)
    assert [path.name for path in tmp_path.rglob("*") if path.name != "elsewhere"] == []


def test_with_nothing_there_every_step_holds_and_nothing_is_left(tmp_path: Path) -> None:
    with UpProcess(tmp_path, *DEMO) as demo:
        assert demo.ended() == 0, demo.said
        last = demo.said.splitlines()[-1]
    steps = demo.said.count("held  ")
    assert last == f"demo: {steps} steps, {steps} held"
    assert "a stand-in, at http://127.0.0.1:" in demo.said
    assert "the real one has no key" in demo.said
    assert "ollama refused, openai answered" in " ".join(demo.said.split())
    # Every message and its verdict.
    assert sum(line.startswith(("  none ", "  delete (spam) ")) for line in demo.said.splitlines()) == 20


def test_what_is_really_there_is_used_and_never_stopped(tmp_path: Path, redis_url: str) -> None:
    with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        client.rpush("ollama", "a message of somebody else")
        with StandInProcess("ollama") as ollama, StandInProcess("openai", "gpt-6-luna") as openai:
            real = {"OLLAMA_URL": ollama.base_url, "OPENAI_BASE_URL": openai.base_url, "OPENAI_API_KEY": "sk-real"}
            with UpProcess(tmp_path, *DEMO, **real, REDIS_URL=redis_url) as demo:
                assert demo.ended() == 0, demo.said
            # The loading, 20 messages, the name, the turn and those after the outage.
            assert ollama.counts(records=False)["chat"]["total"] == 26
            assert openai.counts(records=False)["chat"]["total"] == 6
        words = " ".join(demo.said.split())
        assert "answers at" in words
        assert "through a relay, which can be cut" in words
        assert "the relay in front of it is cut, the real one is not touched" in words
        assert "its empty database 15" in words
        assert "sk-real" not in words
        assert client.info("keyspace").keys() == {"db0"}
        assert client.lrange("ollama", 0, -1) == ["a message of somebody else"]


@pytest.mark.parametrize("when", ["Starting Redis", "Stopping ollama"])
def test_it_may_be_interrupted_at_any_time(tmp_path: Path, when: str) -> None:
    with UpProcess(tmp_path, *DEMO, PYTHONUNBUFFERED="1") as demo:
        demo.says(when)
        demo.signal(signal.SIGINT)
        demo.signal(signal.SIGINT)
        assert demo.ended() == 130
        assert "Interrupted" in demo.said
        assert "Traceback" not in demo.said


def test_killed_it_leaves_nothing_either(tmp_path: Path) -> None:
    with UpProcess(tmp_path, *DEMO, PYTHONUNBUFFERED="1") as demo:
        demo.says("held ")
        # Leaving the block waits until all that it started is gone.
        demo.process.kill()


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"REDIS_URL": "nonsense"}, "REDIS_URL is 'nonsense'"),
        ({"REDIS_URL": "redis://127.0.0.1:9/0"}, "start it, or unset REDIS_URL"),
        ({"REDIS_URL": "unix:///nowhere"}, "unset it, and a Redis of its own is started"),
    ],
)
def test_what_it_cannot_use_is_said_in_a_sentence(tmp_path: Path, settings: dict[str, str], sentence: str) -> None:
    with UpProcess(tmp_path, *DEMO, **settings) as demo:
        assert demo.ended() == 2
        assert sentence in " ".join(demo.said.split())
        assert "Traceback" not in demo.said


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        (["openai", "ollama"], "puts a paid one first"),
        (["ollama"], "needs two providers"),
        (["ollama", "openai"], None),
    ],
)
def test_it_needs_a_free_primary_and_a_fallback(tmp_path: Path, names: list[str], sentence: str | None) -> None:
    rows = [
        {"name": name, "paid": name == "openai", "real": False, "words": "", "admin_url": None} for name in names
    ]  # fmt: skip
    why_not = DemoStack({"providers": rows}).why_not
    assert sentence in why_not if sentence and why_not else why_not is sentence


def test_a_step_that_does_not_hold_is_counted_and_shown(tmp_path: Path) -> None:
    out = io.StringIO()
    board = Board(Console(file=out))
    with board.step("one is one") as step:
        step.check(True, "it is not")
    with board.step("one is two") as step:
        step.check(False, "it is one")
    with board.step("Redis answers"):
        raise Unavailable("Redis cannot be reached.")
    board.close()
    assert not board.all_held
    assert "not held  one is two\n          it is one" in out.getvalue()
    assert "Redis cannot be reached." in out.getvalue()
    assert out.getvalue().splitlines()[-1] == "demo: 3 steps, 1 held"
