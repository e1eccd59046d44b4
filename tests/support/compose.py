"""docker-compose.yml as a container engine reads it, and its commands as this machine can run them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(__file__).resolve().parents[2]
FILE = ROOT / "docker-compose.yml"
SECRETS = "/run/secrets"
_VARIABLE = re.compile(r"\$\$|\$\{(\w+):-([^}]*)\}")


def document(variables: Mapping[str, str] | None = None) -> dict[str, Any]:
    """The file with its variables filled in; only `${NAME:-default}` and `$$` are known here."""
    given = variables or {}

    def value(match: re.Match[str]) -> str:
        return "$" if match[1] is None else given.get(match[1]) or match[2]

    def filled(node: Any) -> Any:
        if isinstance(node, str):
            return _VARIABLE.sub(value, node)
        if isinstance(node, list):
            return [filled(item) for item in node]
        return {key: filled(item) for key, item in node.items()} if isinstance(node, dict) else node

    read: dict[str, Any] = filled(yaml.safe_load(FILE.read_text(encoding="utf-8")))
    return read


def services() -> dict[str, dict[str, Any]]:
    """All services, by name."""
    found: dict[str, dict[str, Any]] = document()["services"]
    return found


def ours() -> dict[str, dict[str, Any]]:
    """Those that run our own image."""
    return {name: service for name, service in services().items() if "build" in service}


def seconds(duration: str) -> float:
    """A duration such as `30s` or `1m30s`."""
    parts = re.findall(r"(\d+)(m|s)", duration)
    assert "".join(map("".join, parts)) == duration, duration
    return float(sum(int(number) * {"m": 60, "s": 1}[unit] for number, unit in parts))


def outside(text: str, places: Mapping[str, str]) -> str:
    """A text of the file with what only a container has to itself (paths, ports) replaced by what this machine has."""
    for within, without in places.items():
        text = text.replace(within, without)
    return text
