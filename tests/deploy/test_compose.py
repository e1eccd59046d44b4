"""The compose file says what a container engine understands, and keeps what it promises."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tests.support import compose
from tests.support.tools import refused, tool
from understudy.providers import providers_from, queue_names
from understudy.settings import Settings, load_settings
from workers.stack import AFTER_GRACE_S

ROOT = Path(__file__).resolve().parents[2]
SERVICES = compose.services()
EVERY = pytest.mark.parametrize("name", SERVICES)
# What the image's own maker runs it as, and why: comments in the file say it.
ROOT_WITHOUT_CAPABILITIES = {"ollama-gpu", "ollama-cpu", "ollama-model"}
WRITES_BESIDE_ITS_VOLUME = {"rabbitmq"}


def limits(service: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = service["deploy"]["resources"]["limits"]
    return found


def test_it_is_valid_by_the_schema_of_the_compose_specification() -> None:
    checker = tool("check-jsonschema", "the package check-jsonschema")
    assert refused(checker, "--builtin-schema", "vendor.compose-spec", "docker-compose.yml") == ""


def test_the_schema_refuses_what_is_wrong(tmp_path: Path) -> None:
    """So that the check above is one."""
    wrong = tmp_path / "docker-compose.yml"
    wrong.write_text(compose.FILE.read_text(encoding="utf-8").replace("healthcheck:", "healthchek:"), encoding="utf-8")
    checker = tool("check-jsonschema", "the package check-jsonschema")
    assert "healthchek" in refused(checker, "--builtin-schema", "vendor.compose-spec", str(wrong))


@EVERY
def test_an_image_is_pinned_to_a_version(name: str) -> None:
    assert re.search(r":v?\d+\.\d+\.\d+(-\w+)?$", SERVICES[name]["image"])


@EVERY
def test_a_service_starts_again_and_is_bounded(name: str) -> None:
    service = SERVICES[name]
    assert service["restart"] in ("unless-stopped", "on-failure:20")
    assert {"memory", "pids"} <= set(limits(service))
    assert service["logging"]["options"]["max-size"]


@EVERY
def test_a_service_has_no_rights_that_it_does_not_need(name: str) -> None:
    service = SERVICES[name]
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    assert service.get("read_only", False) is (name not in WRITES_BESIDE_ITS_VOLUME)
    # Our own image sets its user itself.
    assert ("user" in service or "build" in service) is (name not in ROOT_WITHOUT_CAPABILITIES)


@EVERY
def test_a_service_tells_whether_it_is_well_unless_it_ends_by_itself(name: str) -> None:
    health = SERVICES[name]["healthcheck"]
    if name == "ollama-model":
        assert health == {"disable": True}
    else:
        assert health["test"][0] in ("CMD", "CMD-SHELL")
        assert compose.seconds(health["timeout"]) <= compose.seconds(health["interval"])


@EVERY
def test_nothing_is_published_beyond_this_host(name: str) -> None:
    assert [port for port in SERVICES[name].get("ports", []) if not port.startswith("127.0.0.1:")] == []


@EVERY
def test_a_service_waits_only_for_services_that_exist(name: str) -> None:
    for other, condition in SERVICES[name].get("depends_on", {}).items():
        assert other in SERVICES
        # One of a profile that is not chosen is not there.
        assert condition.get("required", True) is not bool(SERVICES[other].get("profiles"))


def test_every_queue_has_a_worker() -> None:
    providers = providers_from(load_settings(env_file=None, openai_api_key="sk-made-up"))
    commands = [service["command"] for service in compose.ours().values() if "worker" in service["command"]]
    assert sorted(command[command.index("-Q") + 1] for command in commands) == sorted(queue_names(providers))


def test_no_secret_stands_in_the_file_and_each_comes_from_a_file_of_its_own() -> None:
    document = compose.document()
    for name, secret in document["secrets"].items():
        assert secret == {"file": f"./deploy/secrets/{name}"}
    used = [secret for service in SERVICES.values() for secret in service.get("secrets", [])]
    assert {secret if isinstance(secret, str) else secret["source"] for secret in used} == set(document["secrets"])
    for service in SERVICES.values():
        for variable, value in service.get("environment", {}).items():
            assert not re.search("PASSWORD|KEY|SECRET|TOKEN", variable) or variable.endswith("_FILE"), variable
            if variable.endswith("_FILE") and value.startswith(compose.SECRETS):
                assert Path(value).name in service["secrets"], variable


def test_every_setting_of_our_services_exists() -> None:
    known = {name.upper() for name in Settings.model_fields} | {"FLOWER_BASIC_AUTH"}
    for service in compose.ours().values():
        assert {name for name in service["environment"] if name.removesuffix("_FILE") not in known} == set()


def test_a_worker_has_the_time_to_hand_its_calls_back() -> None:
    for name, service in compose.ours().items():
        if name.startswith("worker-"):
            grace_s = float(service["environment"]["UNDERSTUDY_SHUTDOWN_GRACE_S"])
            assert compose.seconds(service["stop_grace_period"]) >= grace_s + AFTER_GRACE_S


def test_every_file_that_is_mounted_is_there() -> None:
    mounted = [volume for service in SERVICES.values() for volume in service.get("volumes", [])]
    binds = [volume.split(":")[0] for volume in mounted if volume.startswith(".")]
    assert [path for path in binds if not (ROOT / path).exists()] == []
