"""The tables of README.md and the guides say what the code says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from pydantic_core import PydanticUndefined

from understudy.contracts.call import Reason
from understudy.contracts.failure import _BY_REASON
from understudy.settings import ProviderEntry, Settings
from workers.failures import BACKOFF_S, JITTER_S, TABLE, Health, Next, Row, Same
from workers.verdicts import ALERT_OPEN_MS, QUOTA_OPEN_MS

ROOT = Path(__file__).parents[2]

SAME = {
    Same.NO: "no",
    Same.ONCE: "once",
    Same.ONCE_BACKOFF: f"once, after {BACKOFF_S / 2:g} to {BACKOFF_S:g} s",
    Same.WAIT_RETRY_AFTER: "after that time, where it is short enough",
    Same.REASK: "once, with the fault quoted",
    Same.RAISE_LIMIT: "once, with a higher limit",
}
NEXT = {Next.ANY: "yes", Next.FREE_ONLY: "free ones only", Next.LARGER_WINDOW: "larger window only", Next.NONE: "no"}
HEALTH = {
    Health.HARD: "hard",
    Health.NONE: "none",
    Health.QUALITY: "none",
    Health.PAUSE: "its queue pauses",
    Health.OPEN: "open until a probe has loaded it",
    Health.OPEN_15_MIN: f"open for {QUOTA_OPEN_MS // 60_000} min",
    Health.OPEN_ALERT: f"open for {ALERT_OPEN_MS // 60_000} min",
}


def table(document: str, header: str) -> dict[str, list[str]]:
    """The rows below a header, by their first cell without its backticks."""
    lines = (ROOT / document).read_text(encoding="utf-8").splitlines()
    rows: dict[str, list[str]] = {}
    for line in lines[lines.index(header) + 2 :]:
        if not line.startswith("|"):
            break
        name, *cells = (cell.strip() for cell in line.strip("|").split(" | "))
        assert name.strip("`") not in rows, f"{document}: {name} stands there twice"
        rows[name.strip("`")] = cells
    return rows


def shown(default: Any) -> str:
    """A default as the tables show it."""
    if default is PydanticUndefined:
        return "required"
    if default is None or default == ():
        return "unset"
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    return f"`{default:g}`" if isinstance(default, float) else f"`{default}`"


def same(row: Row) -> str:
    """Whether the same provider is asked again, in words."""
    jitter = f", within {row.max_delay_s:g} s" if row.max_delay_s == JITTER_S else ""
    return SAME[row.same] + (jitter if row.same is Same.ONCE else "")


SETTINGS = table("docs/settings.md", "| variable | default | meaning |")


def test_the_settings_are_those_of_the_code_in_its_order_with_their_defaults() -> None:
    defaults = {name.upper(): shown(field.default) for name, field in Settings.model_fields.items()}
    assert {name: cells[0] for name, cells in SETTINGS.items()} == defaults
    assert list(SETTINGS) == list(defaults)


def test_every_setting_has_a_meaning() -> None:
    assert [name for name, cells in SETTINGS.items() if len(cells) != 2 or not cells[1]] == []


def test_the_readme_says_of_a_setting_what_the_guide_says() -> None:
    rows = table("README.md", "| variable | default | meaning |")
    assert {name: SETTINGS.get(name) for name in rows} == rows
    without_prefix = {name for name in SETTINGS if not name.startswith("UNDERSTUDY_")}
    assert without_prefix <= set(rows)


def test_the_fields_of_an_entry_are_those_of_the_code() -> None:
    rows = table("docs/settings.md", "| field | default | meaning |")
    fields = {name: shown(field.default) for name, field in ProviderEntry.model_fields.items()}
    assert {name: cells[0] for name, cells in rows.items()} == fields


@pytest.mark.parametrize("row", TABLE, ids=str)
def test_a_failure_means_what_the_guide_says(row: Row) -> None:
    cells = table("docs/failures.md", "| row | what happened | same | next | health |")[row.name]
    assert cells[1:] == [same(row), NEXT[row.next], HEALTH[row.health]]


def test_the_guide_has_every_failure_and_no_other() -> None:
    rows = table("docs/failures.md", "| row | what happened | same | next | health |")
    assert list(rows) == [row.name for row in TABLE]


def test_every_reason_has_the_error_that_the_guide_names() -> None:
    rows = table("docs/failures.md", "| reason | error | what happened | what to do |")
    assert {name: cells[0].strip("`") for name, cells in rows.items()} == {
        str(reason.value): _BY_REASON[reason][0].__name__ for reason in Reason
    }


def test_every_variable_that_a_document_names_is_a_setting() -> None:
    known = {name.upper() for name in Settings.model_fields}
    for document in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
        named = set(re.findall(r"\b(UNDERSTUDY_[A-Z_]+|(?:OLLAMA|OPENAI|LLM)_[A-Z_]+)\b", document.read_text("utf-8")))
        of_tests = {name for name in named if name.startswith("UNDERSTUDY_TEST_")}
        assert {name for name in named - of_tests if name.removesuffix("_FILE") not in known} == set(), document.name
