"""The script that makes the secrets, and Redis that takes its own from there."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import redis as redis_sync

from tests.support import compose
from tests.support.polling import eventually
from tests.support.ports import free_port
from tests.support.secrets_folder import SCRIPT, make_secrets
from workers.leash import LeashedProcess

if TYPE_CHECKING:
    from collections.abc import Iterator

EMPTY = {"openai_api_key", "broker_url"}
ROOT = Path(__file__).resolve().parents[2]


def contents(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text(encoding="utf-8") for path in folder.iterdir()}


def test_it_makes_every_secret_of_the_compose_file_and_keeps_what_is_there(tmp_path: Path) -> None:
    first = contents(make_secrets(tmp_path))
    assert first.keys() == compose.document()["secrets"].keys()
    assert {name for name, text in first.items() if not text} == EMPTY
    (tmp_path / "secrets" / "openai_api_key").write_text("sk-mine", encoding="utf-8")
    assert contents(make_secrets(tmp_path)) == {**first, "openai_api_key": "sk-mine"}


def test_two_installations_have_nothing_in_common(tmp_path: Path) -> None:
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        folder.mkdir()
    one, two = (contents(make_secrets(folder)) for folder in folders)
    assert [name for name in one.keys() - EMPTY if one[name] == two[name]] == []


def test_rabbitmq_and_the_workers_get_the_same_password(tmp_path: Path) -> None:
    make_secrets(tmp_path)
    made = contents(make_secrets(tmp_path, "rabbitmq"))
    user, password = (line.partition(" = ")[2] for line in made["rabbitmq_conf"].splitlines())
    assert made["broker_url"] == f"amqp://{user}:{password}@rabbitmq:5672//"


def test_only_the_containers_see_them(tmp_path: Path) -> None:
    folder = make_secrets(tmp_path)
    assert folder.stat().st_mode & 0o777 == 0o700
    # A user within a container is not the owner.
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o644}


def test_git_does_not_take_them() -> None:
    assert "deploy/secrets/" in (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()


def test_a_word_that_it_does_not_know_is_refused(tmp_path: Path) -> None:
    done = subprocess.run(["sh", str(SCRIPT), "kafka"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (2, "usage: sh deploy/secrets.sh [rabbitmq]\n")


@pytest.fixture
def places(tmp_path: Path) -> dict[str, str]:
    """What Redis has in its container, here."""
    config = (ROOT / "deploy" / "redis" / "redis.conf").read_text(encoding="utf-8")
    port = free_port()
    path = tmp_path / "redis.conf"
    path.write_text(f"{config.replace('dir /data', f'dir {tmp_path}')}port {port}\n", encoding="utf-8")
    secrets = str(make_secrets(tmp_path))
    return {"/etc/redis.conf": str(path), compose.SECRETS: secrets, "redis-cli": f"redis-cli -p {port}"}


@pytest.fixture
def server(places: dict[str, str]) -> Iterator[LeashedProcess]:
    command = [compose.outside(word, places) for word in compose.services()["redis"]["command"]]
    process = LeashedProcess(command)
    yield process
    process.stop()


@pytest.mark.redis_server
def test_redis_starts_as_written_with_its_password_and_its_settings(
    places: dict[str, str], server: LeashedProcess
) -> None:
    kind, test = compose.services()["redis"]["healthcheck"]["test"]
    assert kind == "CMD-SHELL"

    def well() -> bool:
        return subprocess.run(["sh", "-c", compose.outside(test, places)], check=False).returncode == 0

    assert eventually(well)
    password = Path(places[compose.SECRETS], "redis_password").read_text(encoding="utf-8")
    port = int(places["redis-cli"].rpartition(" ")[2])
    with pytest.raises(redis_sync.AuthenticationError), redis_sync.Redis(port=port) as stranger:
        stranger.ping()
    with redis_sync.Redis(port=port, password=password, decode_responses=True) as client:
        wanted = {"appendonly": "yes", "maxmemory-policy": "noeviction", "save": ""}
        assert {name: client.config_get(name)[name] for name in wanted} == wanted
    shown = subprocess.run(["ps", "-o", "args=", "-p", str(server.pid)], capture_output=True, text=True, check=True)
    assert password not in shown.stdout
