"""The embedded server: it starts, keeps its data, keeps to itself and does not outlive us."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.support.polling import eventually
from tests.support.redis_server import RedisServer
from understudy.errors import SettingsError
from workers import local_redis
from workers.leash import LeashedProcess
from workers.local_redis import LocalRedis, find_server

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ONCE = Retry(NoBackoff(), 0)
FLAVOURS = ["valkey", pytest.param("redis", marks=pytest.mark.redis_server)]


@pytest.fixture(params=FLAVOURS)
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RedisServer]:
    made = RedisServer(tmp_path / "a folder", request.param, appendonly=True, password="a pass/word")
    yield made
    made.kill()


def gone(pid: int) -> bool:
    """Whether it has ended; one that waits for the machine's first process to bury it has."""
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout
    return not state.strip() or state.startswith("Z")


def test_what_was_written_is_there_after_it_was_killed_and_started_again(server: RedisServer) -> None:
    server.start()
    with redis.Redis.from_url(server.url()) as client:
        client.set("a", "1")
        eventually(lambda: client.info("persistence")["aof_pending_bio_fsync"] == 0)
        server.kill()
        server.start()
        assert client.get("a") == b"1"
    server.stop()
    assert not server.running


def test_it_listens_on_loopback_only_asks_for_the_password_and_evicts_nothing(server: RedisServer) -> None:
    server.start()
    with redis.Redis.from_url(server.url()) as client:
        assert client.config_get("bind")["bind"] == "127.0.0.1"
        assert client.config_get("maxmemory-policy")["maxmemory-policy"] == "noeviction"
    with redis.Redis(port=server.port or 0, retry=ONCE) as stranger, pytest.raises(redis.AuthenticationError):
        stranger.ping()


def test_a_paused_server_answers_nothing_until_it_is_resumed(server: RedisServer) -> None:
    server.start()
    with redis.Redis.from_url(server.url(), socket_timeout=0.3, retry=ONCE) as client:
        client.ping()
        server.pause()
        with pytest.raises(redis.TimeoutError):
            client.ping()
        server.resume()
        assert eventually(client.ping)


def test_a_port_that_is_taken_is_said_so(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = LocalRedis(tmp_path, port=other.getsockname()[1])
        with pytest.raises(SettingsError, match=f"did not start on port {taken.port}: .*in use"):
            taken.start()
    assert not taken.running


def test_the_wheel_is_preferred_to_the_redis_server_on_the_path() -> None:
    assert find_server().flavour == "valkey"


def test_with_no_server_at_all_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_redis, "_from_wheel", lambda: None)
    monkeypatch.setattr(local_redis, "_from_path", lambda: None)
    with pytest.raises(SettingsError, match="No Redis server was found: name a running one in REDIS_URL"):
        find_server()


def test_a_leashed_process_and_its_children_end_when_their_starter_is_killed() -> None:
    starter = subprocess.Popen(
        [
            sys.executable,
            "-c",
            textwrap.dedent("""
                import time
                from workers.leash import LeashedProcess
                process = LeashedProcess(["/bin/sh", "-c", "sleep 1000 & echo $!; wait"], output=None)
                print(process.pid, flush=True)
                time.sleep(1000)
            """),
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert starter.stdout is not None
    pids = [int(starter.stdout.readline()), int(starter.stdout.readline())]
    starter.send_signal(signal.SIGKILL)
    starter.wait()
    starter.stdout.close()
    eventually(lambda: all(gone(pid) for pid in pids))


def test_a_stopped_process_that_ignores_sigterm_is_killed_after_its_grace() -> None:
    ours, its = os.pipe()
    process = LeashedProcess(["/bin/sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.1; done"], output=its)
    os.close(its)
    with os.fdopen(ours) as said:
        assert said.readline() == "ready\n"
    process.stop(grace_s=0.2)
    assert not process.alive
    assert process.exit_code == -signal.SIGKILL
