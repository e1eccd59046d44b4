"""Alerts and dashboard ask for metrics that there are, and say where to read on.

That the page lists what there is, a scrape of a real worker shows: tests/integration/test_metrics.py.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from bot_client.cli.root import COMMANDS
from tests.support.deployed import PROMETHEUS, ROOT, RUNBOOK, alert_rules, dashboard, panels, series

if TYPE_CHECKING:
    from pathlib import Path

ALERTS = alert_rules()
PANELS = panels(dashboard())
# What Prometheus itself adds to each series, and the word of a histogram's bound.
ADDED = {"job", "instance", "le"}
DEMANDED = {
    "UnderstudyPrimaryDown",
    "UnderstudyFallbackShare",
    "UnderstudyBudgetUsed",
    "UnderstudyNoWorker",
    "UnderstudyBacklogGrowing",
    "UnderstudyQuarantined",
    "UnderstudyBreakerFlapping",
}


def promtool(*arguments: str, cwd: Path = PROMETHEUS) -> str:
    """Run Debian's promtool; where it is missing a laptop skips, and CI fails."""
    program = shutil.which("promtool")
    if program is None:
        if os.environ.get("CI"):
            pytest.fail("prometheus (promtool) is not installed, and in CI it must be", pytrace=False)
        pytest.skip("promtool is not installed")
    done = subprocess.run([program, *arguments], cwd=cwd, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def check_names(query: str) -> None:
    """Every metric of a query exists, and every label that it groups or selects by is one of theirs."""
    known = series()
    names = set(re.findall(r"\bunderstudy_\w+", query))
    assert names - set(known) == set(), query
    labels = {label for name in names for label in known[name]} | ADDED
    grouped = re.findall(r"\b(?:by|on|group_left|without) \(([^)]*)\)", query)
    used = {label.strip() for group in grouped for label in group.split(",") if label.strip()}
    used |= {label for chosen in re.findall(r"\{([^}]*)\}", query) for label in re.findall(r"(\w+) ?[=!]", chosen)}
    assert used - labels == set(), query


def queries(panel: dict[str, Any]) -> list[str]:
    return [target["expr"] for target in panel["targets"]]


def test_every_alert_asks_for_metrics_that_there_are() -> None:
    assert {rule.name for rule in ALERTS} >= DEMANDED
    for rule in ALERTS:
        check_names(rule.text.partition("annotations:")[0])


def test_every_alert_has_a_section_of_the_runbook_with_what_shows_the_cause_and_what_mends_it() -> None:
    sections = re.split(r"^### ", RUNBOOK.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    by_name = {section.partition("\n")[0]: section for section in sections}
    for rule in ALERTS:
        assert rule.runbook == f"docs/operations.md#{rule.name.lower()}"
        section = by_name[rule.name]
        for part in ("**What it means.**", "**See.**", "**Do.**"):
            assert part in section, f"{rule.name} lacks {part}"


def test_the_runbook_has_no_section_of_an_alert_that_is_gone() -> None:
    named = re.findall(r"^### (Understudy\w+)$", RUNBOOK.read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert named == [rule.name for rule in ALERTS]


def test_every_command_of_the_runbook_exists() -> None:
    named = set(re.findall(r"`understudy (\w+)", RUNBOOK.read_text(encoding="utf-8")))
    assert named
    assert named - set(COMMANDS) == set()


@pytest.mark.parametrize("panel", PANELS, ids=[panel["title"] for panel in PANELS])
def test_a_panel_asks_for_metrics_that_there_are(panel: dict[str, Any]) -> None:
    assert queries(panel)
    for query in queries(panel):
        check_names(query)
    for target in panel["targets"]:
        shown = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
        kept = {label.strip() for group in re.findall(r"by \(([^)]*)\)", target["expr"]) for label in group.split(",")}
        assert shown <= kept | {"instance"}, target["legendFormat"]


def test_the_dashboard_shows_every_metric_that_an_alert_looks_at() -> None:
    shown = {name for panel in PANELS for query in queries(panel) for name in re.findall(r"understudy_\w+", query)}
    looked_at = {name for rule in ALERTS for name in re.findall(r"\bunderstudy_\w+", rule.text)}
    counted_elsewhere = {"understudy_breaker_changes_total"}  # drawn as the states themselves
    assert looked_at - shown == counted_elsewhere


def test_the_panels_lie_side_by_side() -> None:
    taken: dict[tuple[int, int], str] = {}
    for panel in dashboard()["panels"]:
        grid = panel["gridPos"]
        assert grid["x"] + grid["w"] <= 24
        for x in range(grid["x"], grid["x"] + grid["w"]):
            for y in range(grid["y"], grid["y"] + grid["h"]):
                assert (x, y) not in taken, f"{panel['title']} lies on {taken.get((x, y))}"
                taken[x, y] = panel["title"]
    ids = [panel["id"] for panel in dashboard()["panels"]]
    assert len(set(ids)) == len(ids)


def test_prometheus_can_read_every_query_of_the_dashboard(tmp_path: Path) -> None:
    lines = ["groups:", "  - name: dashboard", "    rules:"]
    for number, query in enumerate(query for panel in PANELS for query in queries(panel)):
        filled = query.replace("$__rate_interval", "1m").replace("$kind", ".*")
        assert "$" not in filled
        lines += [f"      - record: query_{number}", "        expr: |", f"          {filled}"]
    (tmp_path / "queries.yml").write_text("\n".join(lines) + "\n", encoding="utf-8")
    promtool("check", "rules", "queries.yml", cwd=tmp_path)


def test_prometheus_can_read_configuration_and_alerts() -> None:
    promtool("check", "config", "prometheus.yml")
    assert f"{len(ALERTS)} rules found" in promtool("check", "rules", "alerts.yml")


def test_the_alerts_fire_where_they_should_and_nowhere_else() -> None:
    promtool("test", "rules", "alerts_test.yml")


def test_every_alert_is_tested() -> None:
    tested = re.findall(r"alertname: (\w+)", (PROMETHEUS / "alerts_test.yml").read_text(encoding="utf-8"))
    assert set(tested) == {rule.name for rule in ALERTS}


def test_what_is_scraped_are_the_workers_of_the_compose_file_on_the_port_of_the_image() -> None:
    scraped = set(re.findall(r"^ +- (worker-\S+)$", (PROMETHEUS / "prometheus.yml").read_text("utf-8"), re.MULTILINE))
    composed = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    assert scraped == set(re.findall(r"^  (worker-[\w-]+):$", composed, re.MULTILINE))
    port = re.search(r"^ +port: (\d+)$", (PROMETHEUS / "prometheus.yml").read_text("utf-8"), re.MULTILINE)
    assert port
    assert f"UNDERSTUDY_METRICS_PORT={port[1]}" in (ROOT / "Dockerfile").read_text(encoding="utf-8")
