"""The Kubernetes manifests are valid, fit together, and run what the compose file runs."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support import compose
from tests.support.tools import refused, tool
from understudy.settings import Settings
from workers import gauges
from workers.stack import AFTER_GRACE_S

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "deploy" / "kubernetes"
FILES = sorted(FOLDER.glob("*.yaml"))
DOCUMENTS: list[dict[str, Any]] = [
    document for path in FILES for document in yaml.safe_load_all(path.read_text(encoding="utf-8"))
]
SETTINGS = next(each for each in DOCUMENTS if each["kind"] == "ConfigMap" and each["metadata"]["name"] == "understudy")


def of_kind(*kinds: str) -> list[dict[str, Any]]:
    return [document for document in DOCUMENTS if document["kind"] in kinds]


def named(document: dict[str, Any]) -> str:
    return str(document["metadata"]["name"])


RUNNING = of_kind("Deployment", "StatefulSet")
WORKERS = [each for each in RUNNING if each["metadata"]["labels"]["app.kubernetes.io/component"] == "worker"]
EVERY = pytest.mark.parametrize("running", RUNNING, ids=named)


def pod(running: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = running["spec"]["template"]["spec"]
    return found


def container(running: dict[str, Any]) -> dict[str, Any]:
    (only,) = pod(running)["containers"]
    found: dict[str, Any] = only
    return found


def pods_of(selector: dict[str, Any]) -> set[str]:
    """The names of those whose pods a selector means."""
    wanted = selector.get("matchLabels", {})
    among = {rule["key"]: rule["values"] for rule in selector.get("matchExpressions", [])}
    found = set()
    for running in RUNNING:
        labels = running["spec"]["template"]["metadata"]["labels"]
        if wanted.items() <= labels.items() and all(labels.get(key) in values for key, values in among.items()):
            found.add(named(running))
    return found


def test_the_manifests_are_valid_by_the_schemas_of_kubernetes() -> None:
    checker = tool("kubernetes-validate", "the package kubernetes-validate")
    assert refused(checker, "--strict", *map(str, FILES)) == ""


def test_the_schemas_refuse_what_is_wrong(tmp_path: Path) -> None:
    """So that the check above is one."""
    wrong = tmp_path / "flower.yaml"
    wrong.write_text((FOLDER / "flower.yaml").read_text("utf-8").replace("replicas: 1", "replica: 1"), "utf-8")
    checker = tool("kubernetes-validate", "the package kubernetes-validate")
    assert "replica" in refused(checker, "--strict", str(wrong))


def test_they_go_into_any_namespace() -> None:
    assert [named(document) for document in DOCUMENTS if "namespace" in document["metadata"]] == []


def test_each_of_our_commands_is_that_of_the_compose_file() -> None:
    here = {tuple(container(each)["command"]) for each in RUNNING if named(each) != "understudy-redis"}
    assert here == {tuple(service["command"]) for service in compose.ours().values()}


def test_redis_is_the_one_of_the_compose_file() -> None:
    (config,) = (each for each in of_kind("ConfigMap") if named(each) == "understudy-redis")
    assert config["data"]["redis.conf"] == (ROOT / "deploy" / "redis" / "redis.conf").read_text(encoding="utf-8")
    (running,) = of_kind("StatefulSet")
    assert container(running)["image"] == compose.services()["redis"]["image"]


@EVERY
def test_a_pod_has_no_rights_that_it_does_not_need(running: dict[str, Any]) -> None:
    spec, only = pod(running), container(running)
    assert spec["automountServiceAccountToken"] is False
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["runAsUser"] > 0
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert only["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


@EVERY
def test_a_pod_is_bounded_and_probed_and_not_confused_by_the_names_of_services(running: dict[str, Any]) -> None:
    only = container(running)
    assert only["resources"]["requests"].keys() == {"cpu", "memory"}
    assert "memory" in only["resources"]["limits"]
    assert {"livenessProbe", "readinessProbe"} <= only.keys()
    # A service called flower would set FLOWER_PORT to a URL.
    assert pod(running)["enableServiceLinks"] is False


@EVERY
def test_secrets_come_by_reference_and_as_files(running: dict[str, Any]) -> None:
    (volume,) = (each for each in pod(running)["volumes"] if each["name"] == "secrets")
    assert volume["secret"]["secretName"] == "understudy"
    mounted = {f"/run/secrets/{item['path']}" for item in volume["secret"]["items"]}
    variables = {each["name"]: each["value"] for each in container(running).get("env", [])}
    if "envFrom" in container(running):
        variables |= SETTINGS["data"]
    assert {value for name, value in variables.items() if name.endswith("_FILE")} <= mounted
    assert of_kind("Secret") == []


def test_every_setting_exists() -> None:
    known = {name.upper() for name in Settings.model_fields}
    assert [name for name in SETTINGS["data"] if name.removesuffix("_FILE") not in known] == []


@pytest.mark.parametrize("running", WORKERS, ids=named)
def test_a_worker_has_the_time_to_hand_its_calls_back(running: dict[str, Any]) -> None:
    grace_s = float(SETTINGS["data"]["UNDERSTUDY_SHUTDOWN_GRACE_S"])
    assert pod(running)["terminationGracePeriodSeconds"] >= grace_s + AFTER_GRACE_S


@pytest.mark.parametrize("running", WORKERS, ids=named)
def test_a_worker_is_probed_where_it_serves_its_health(running: dict[str, Any]) -> None:
    only = container(running)
    assert only["livenessProbe"]["httpGet"] == {"path": "/healthz", "port": "metrics"}
    assert only["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "metrics"}
    (port,) = only["ports"]
    assert f"UNDERSTUDY_METRICS_PORT={port['containerPort']}" in (ROOT / "Dockerfile").read_text(encoding="utf-8")
    annotations = running["spec"]["template"]["metadata"]["annotations"]
    assert annotations["prometheus.io/port"] == str(port["containerPort"])


def test_each_budget_is_for_one_set_of_pods_and_lets_a_drain_go_on() -> None:
    budgets = {named(each): each["spec"] for each in of_kind("PodDisruptionBudget")}
    assert budgets.keys() == {named(each) for each in RUNNING} - {"understudy-flower"}
    replicas = {named(each): each["spec"]["replicas"] for each in RUNNING}
    for name, spec in budgets.items():
        assert pods_of(spec["selector"]) == {name}
        assert spec.get("maxUnavailable", replicas[name] - spec.get("minAvailable", 0)) >= 1


def test_the_network_policies_cover_every_pod_and_let_ours_reach_redis() -> None:
    policies = {named(each): each["spec"] for each in of_kind("NetworkPolicy")}
    assert set().union(*(pods_of(spec["podSelector"]) for spec in policies.values())) == set(map(named, RUNNING))
    admitted = policies["understudy-redis"]["ingress"][0]["from"]
    assert pods_of(admitted[0]["podSelector"]) == set(map(named, RUNNING)) - {"understudy-redis"}


def test_the_example_of_a_scaler_asks_for_ready_running_and_oldest_by_metrics_that_exist() -> None:
    example = yaml.safe_load((FOLDER / "examples" / "keda.yaml").read_text(encoding="utf-8"))
    assert example["spec"]["scaleTargetRef"]["name"] in set(map(named, RUNNING))
    queries = [trigger["metadata"]["query"] for trigger in example["spec"]["triggers"]]
    asked = set(re.findall(r"understudy_\w+", " ".join(queries)))
    assert asked == {"understudy_queue_depth", "understudy_running_calls", "understudy_queue_oldest_seconds"}
    source = inspect.getsource(gauges)
    assert [name for name in asked if f'"{name.removeprefix("understudy_")}"' not in source] == []
    assert {trigger["type"] for trigger in example["spec"]["triggers"]} == {"prometheus"}
