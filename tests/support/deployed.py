"""What is written about the metrics: the page that lists them, the alerts, the dashboard."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
METRICS_PORT_OF = "UNDERSTUDY_METRICS_PORT"
PROMETHEUS = ROOT / "deploy" / "prometheus"
DASHBOARD = ROOT / "deploy" / "grafana" / "understudy.json"
PAGE = ROOT / "docs" / "metrics.md"
RUNBOOK = ROOT / "docs" / "operations.md"

SUFFIXES = {"histogram": ("_bucket", "_sum", "_count"), "counter": ("",), "gauge": ("",)}


@dataclass(frozen=True)
class MetricRow:
    """One row of the page."""

    type: str
    labels: tuple[str, ...]
    meaning: str


def metric_rows(heading: str) -> dict[str, MetricRow]:
    """The rows of the table below a heading of the page, by name."""
    _, _, rest = PAGE.read_text(encoding="utf-8").partition(f"\n## {heading}\n")
    section = rest.partition("\n## ")[0]
    rows: dict[str, MetricRow] = {}
    for line in section.splitlines():
        if line.startswith("| `"):
            name, kind, labels, meaning = (cell.strip() for cell in line.strip("|").split("|"))
            assert name.strip("`") not in rows, name
            rows[name.strip("`")] = MetricRow(kind, tuple(re.findall(r"`(\w+)`", labels)), meaning)
    assert rows, f"no rows below {heading}"
    return rows


def series() -> dict[str, set[str]]:
    """Every name that a query can ask a worker for, with its labels; `le` of buckets included."""
    found: dict[str, set[str]] = {}
    for name, row in metric_rows("What a worker counts and shows").items():
        for suffix in SUFFIXES[row.type]:
            found[name + suffix] = {*row.labels, *(("le",) if suffix == "_bucket" else ())}
    return found


def dashboard() -> dict[str, Any]:
    """As Grafana reads it."""
    read: dict[str, Any] = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    return read


def panels(board: dict[str, Any]) -> list[dict[str, Any]]:
    """All that draw something, those within rows included."""
    found = [panel for panel in board["panels"] if panel["type"] != "row"]
    return found + [inner for row in board["panels"] for inner in row.get("panels", ())]


@dataclass(frozen=True)
class AlertRule:
    """One alert, as its lines say."""

    name: str
    text: str

    @property
    def runbook(self) -> str:
        """The address of its section."""
        (found,) = re.findall(r"^ +runbook: (\S+)$", self.text, re.MULTILINE)
        return str(found)


def alert_rules() -> list[AlertRule]:
    """The alerts of alerts.yml; it is read line by line, for nothing else here reads YAML."""
    text = (PROMETHEUS / "alerts.yml").read_text(encoding="utf-8")
    parts = re.split(r"^ +- alert: (\w+)\n", text, flags=re.MULTILINE)
    return [AlertRule(name, body) for name, body in zip(parts[1::2], parts[2::2], strict=True)]
