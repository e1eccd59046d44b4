"""Habits of the project that hold without anyone watching."""

from __future__ import annotations

import importlib.metadata
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import understudy

ROOT = Path(__file__).parents[2]
LONGEST_FILE = 300
# The address of a package index, written so that this file does not hold one.
INDEX = re.compile(r"https?://[\w.-]*(?:[p]ypi\.|[p]ythonhosted\.)|://\S+/[s]imple\b|[f]ile:///")
# What a line of the lock may be.
LOCK_LINE = re.compile(r"[\w.-]+==[\w.!+]+ \\|    --hash=sha256:[0-9a-f]{64}( \\)?|# [^/]*|")
# Where `make` must work: what a dependency's markers may ask about.
SYSTEMS = [("linux", "Linux", "x86_64"), ("linux", "Linux", "aarch64"), ("darwin", "Darwin", "x86_64")]
SYSTEMS.append(("darwin", "Darwin", "arm64"))
PLATFORMS = [
    {
        "python_full_version": python,
        "python_version": python.rpartition(".")[0],
        "os_name": "posix",
        "sys_platform": sys_platform,
        "platform_system": system,
        "platform_machine": machine,
    }
    for python in ("3.11.0", "3.11.2", "3.11.9", "3.12.3", "3.13.1", "3.14.0")
    for sys_platform, system, machine in SYSTEMS
]
# A package's name, and the extras that are asked for.
Need = tuple[str, frozenset[str]]


def tracked(*patterns: str) -> list[Path]:
    """The files that git keeps."""
    listing = subprocess.run(["git", "ls-files", "-z", *patterns], cwd=ROOT, capture_output=True, check=False)
    if listing.returncode:
        pytest.skip("this copy of the project is not a git checkout")
    return [ROOT / name for name in listing.stdout.decode().split("\0") if name and (ROOT / name).is_file()]


def locked() -> set[str]:
    names = re.findall(r"^([\w.-]+)==", (ROOT / "requirements.lock").read_text(encoding="utf-8"), re.MULTILINE)
    return {str(canonicalize_name(name)) for name in names}


def requirements(name: str) -> list[str]:
    """What a package says it needs; one that is not installed here, being for other platforms, counts as a leaf."""
    try:
        return importlib.metadata.requires(name) or []
    except importlib.metadata.PackageNotFoundError:
        return []


def needs(lines: list[str], extras: frozenset[str] = frozenset()) -> set[Need]:
    """Those that some platform needs."""
    found: set[Need] = set()
    for wanted in map(Requirement, lines):
        environments = [{**platform, "extra": extra} for platform in PLATFORMS for extra in ("", *extras)]
        if wanted.marker is None or any(wanted.marker.evaluate(environment) for environment in environments):
            found.add((str(canonicalize_name(wanted.name)), frozenset(wanted.extras)))
    return found


def test_a_file_holds_one_noun() -> None:
    lines = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in tracked("*.py")}
    assert {str(path): count for path, count in lines.items() if count > LONGEST_FILE} == {}


def test_no_file_holds_the_address_of_a_package_index() -> None:
    holding = [path for path in tracked() if INDEX.search(path.read_text(encoding="utf-8", errors="replace"))]
    assert holding == []


def test_the_lock_names_packages_versions_and_hashes_only() -> None:
    lines = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if not LOCK_LINE.fullmatch(line)] == []


def test_the_lock_holds_what_every_supported_platform_needs() -> None:
    """A lock is made on one machine; what only others need, by a marker, must be in it all the same."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    own = [*project["dependencies"], *(line for extra in project["optional-dependencies"].values() for line in extra)]
    todo, seen = needs(own), set[Need]()
    while todo:
        seen |= todo
        assert {name for name, _ in todo} <= locked()
        todo = {need for name, extras in todo for need in needs(requirements(name), extras)} - seen
    assert len(seen) > len(own)


def test_the_changelog_has_the_current_version() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(rf"^## {re.escape(understudy.__version__)}\b", changelog, re.MULTILINE)


def test_the_demo_messages_are_labelled_and_carry_their_licence() -> None:
    lines = (ROOT / "workers" / "demo_messages.tsv").read_text(encoding="utf-8").splitlines()
    notice = [line for line in lines if line.startswith("#")]
    rows = [line.split("\t") for line in lines if not line.startswith("#")]
    assert "CC BY 4.0" in " ".join(notice)
    assert len(rows) == 20
    assert {label for label, _ in rows} == {"ham", "spam"}
    assert all(0 < len(text) <= 8000 for _, text in rows)
