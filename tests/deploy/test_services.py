"""Our services run by the commands of the compose file, with its secrets, on this machine instead of in containers."""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
import sys
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from bot_client import Understudy
from tests.support import compose
from tests.support.flower_process import Browser
from tests.support.polling import eventually
from tests.support.ports import free_ports
from tests.support.redis_server import RedisServer
from tests.support.secrets_folder import make_secrets
from tests.support.stack import MODELS, PRICE
from understudy.providers import providers_from
from understudy.settings import load_settings
from workers.leash import LeashedProcess
from workers.readiness import workers_consume
from workers.stand_in import StandInProcess

if TYPE_CHECKING:
    from collections.abc import Iterator

    from understudy.settings import Settings
    from workers.local_redis import Flavour

# Five processes start, on cores that others use.
pytestmark = pytest.mark.timeout(240)
START_S = 120.0
ENGINE_STOP_S = "10s"
"""What a container engine gives a service that asks for nothing else."""

ROOT = Path(__file__).resolve().parents[2]
SERVICES = compose.ours()
IMAGE_ENV = dict(re.findall(r"(UNDERSTUDY_\w+)=(\S+)", (ROOT / "Dockerfile").read_text(encoding="utf-8")))
direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Service:
    """One of ours.

    Args:
        folder: where it runs and logs.
        places: what only a container has to itself, and what stands for it here.
        more: its other variables, as `.env` would have them.
    """

    def __init__(self, name: str, folder: Path, places: dict[str, str], more: dict[str, str]) -> None:
        self.name = name
        self.folder = folder / name
        self.folder.mkdir()
        self.command = [compose.outside(word, places) for word in SERVICES[name]["command"]]
        self.health = [compose.outside(word, places) for word in SERVICES[name]["healthcheck"]["test"][1:]]
        environment = {key: compose.outside(value, places) for key, value in SERVICES[name]["environment"].items()}
        bare = {"HOME": str(self.folder), "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
        mark = {key: value for key, value in os.environ.items() if key == "UNDERSTUDY_TEST_RUN"}
        image = {**IMAGE_ENV, "PYTHONPATH": f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}
        self.env = bare | mark | image | more | environment
        self.process: LeashedProcess | None = None

    @property
    def log(self) -> Path:
        return self.folder / "log"

    def start(self) -> None:
        # Not in the checkout, whose `.env` is its owner's.
        within = ["sh", "-c", 'cd "$0" && exec "$@"', str(self.folder)]
        with self.log.open("wb") as output:
            self.process = LeashedProcess([*within, *self.command], env=self.env, output=output.fileno())

    def healthy(self) -> bool:
        done = subprocess.run(self.health, env=self.env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{done.stderr}\n{self.log.read_text()[-2000:]}"
        return True


class Services:
    """All of them, and what they need."""

    def __init__(self, folder: Path, flavour: Flavour) -> None:
        self.secrets = make_secrets(folder)
        (self.secrets / "openai_api_key").write_text("sk-made-up\n", encoding="utf-8")
        self.redis = RedisServer(folder / "redis", flavour, password=self.secret("redis_password"))
        self.providers = {name: StandInProcess(name, model) for name, model in MODELS.items()}
        self.folder = folder
        self.all: dict[str, Service] = {}
        self.flower_port = 0

    def secret(self, name: str) -> str:
        return (self.secrets / name).read_text(encoding="utf-8").strip()

    @property
    def settings(self) -> Settings:
        """Of a bot on this host."""
        return load_settings(
            env_file=None,
            redis_url=f"redis://127.0.0.1:{self.redis.port}/0",
            understudy_redis_password=self.secret("redis_password"),
            openai_api_key=self.secret("openai_api_key"),
            understudy_prices={MODELS["openai"]: PRICE},
            openai_model_name=MODELS["openai"],
        )

    def start(self) -> None:
        self.redis.start()
        for provider in self.providers.values():
            provider.start()
        self.flower_port, *ports = free_ports(len(SERVICES))
        shared = {
            compose.SECRETS: str(self.secrets),
            "redis://redis:6379": f"redis://127.0.0.1:{self.redis.port}",
            "http://ollama:11434": self.providers["ollama"].base_url,
            "5555": str(self.flower_port),
        }
        more = {
            "OPENAI_BASE_URL": self.providers["openai"].base_url,
            "OPENAI_MODEL_NAME": MODELS["openai"],
            "UNDERSTUDY_PRICES": json.dumps({MODELS["openai"]: PRICE}),
        }
        for name in SERVICES:
            # In a container of its own each has the image's.
            port = {} if name == "flower" else {"UNDERSTUDY_METRICS_PORT": str(ports.pop())}
            self.all[name] = Service(name, self.folder, shared, {**more, **port})
            self.all[name].start()

    def stop(self) -> None:
        for service in self.all.values():
            if service.process:
                service.process.kill()
        for provider in self.providers.values():
            provider.kill()
        self.redis.kill()


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory, redis_flavour: Flavour) -> Iterator[Services]:
    running = Services(tmp_path_factory.mktemp("services"), redis_flavour)
    try:
        running.start()
        yield running
    finally:
        running.stop()


def status(url: str, login: str = "") -> int:
    request = urllib.request.Request(url)
    if login:
        request.add_header("Authorization", f"Basic {base64.b64encode(login.encode()).decode()}")
    try:
        with direct.open(request, timeout=20) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        return error.code


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_comes_up_and_is_well_by_its_own_health_check(services: Services, name: str) -> None:
    assert eventually(services.all[name].healthy, limit_s=START_S, every_s=0.5)


def test_every_queue_is_consumed(services: Services) -> None:
    providers = providers_from(services.settings)
    assert {provider.name for provider in providers} == set(MODELS)
    assert eventually(lambda: workers_consume(services.settings, providers, batch=True), limit_s=START_S, every_s=0.2)


async def test_a_call_is_answered(services: Services) -> None:
    async with Understudy(services.settings) as llm:
        outcome = await llm.moderate("hello there")
    assert outcome.provider == "ollama"


def test_flower_asks_for_the_login_on_its_pages_and_its_api(services: Services) -> None:
    address = f"http://127.0.0.1:{services.flower_port}"
    login = services.secret("flower_login")
    paths = ("/workers", "/api/workers", "/providers", "/providers/api")
    assert [status(f"{address}{path}") for path in paths] == [401] * 4
    assert [status(f"{address}{path}", "operator:guess") for path in paths] == [401] * 4
    assert [status(f"{address}{path}", login) for path in paths] == [200] * 4


def test_whoever_has_the_login_may_act_on_the_page_of_providers(services: Services) -> None:
    visitor = Browser(services.flower_port, login=services.secret("flower_login"))
    seen = visitor.overview()
    assert (seen["who"], seen["may_act"]) == ("operator", True)
    assert visitor.done("unforce") == "No provider was forced."


def test_flower_refuses_to_start_without_a_login(services: Services) -> None:
    flower = services.all["flower"]
    env = {name: value for name, value in flower.env.items() if name != "FLOWER_BASIC_AUTH_FILE"}
    done = subprocess.run(flower.command, env=env, cwd=flower.folder, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "would listen on 0.0.0.0 without asking for a login" in done.stderr
    assert "Traceback" not in done.stderr


def test_no_log_holds_a_secret(services: Services) -> None:
    text = "".join(service.log.read_text(encoding="utf-8", errors="replace") for service in services.all.values())
    secrets = ("redis_password", "openai_api_key", "flower_login")
    assert [name for name in secrets if services.secret(name).rpartition(":")[2] in text] == []


def test_asked_to_end_each_does_within_the_time_it_is_given(services: Services) -> None:
    """The last: it ends what the tests above use."""

    def ended(service: Service) -> Any:
        assert service.process is not None
        limit_s = compose.seconds(SERVICES[service.name].get("stop_grace_period", ENGINE_STOP_S))
        os.kill(service.process.pid, 15)
        return service.process.exit_code if service.process.wait(limit_s) else "still there"

    with ThreadPoolExecutor() as pool:
        codes = dict(zip(services.all, pool.map(ended, services.all.values()), strict=True))
    assert codes == dict.fromkeys(SERVICES, 0)
    worker = services.all["worker-ollama"]
    gone = subprocess.run(worker.health, env=worker.env, capture_output=True, text=True, check=False)
    assert (gone.returncode, gone.stderr.strip().endswith(".")) == (1, True)
    assert "does not answer" in gone.stderr
