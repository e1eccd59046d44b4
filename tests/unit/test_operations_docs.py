"""What the guides for operators name is there: commands, settings, alerts, places in other guides."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from bot_client.cli.root import root
from understudy.contracts.call import Reason
from understudy.settings import Settings

DOCS = Path(__file__).parents[2] / "docs"
GUIDES = ("operations.md", "architecture.md", "scaling.md")


def text_of(guide: str) -> str:
    return (DOCS / guide).read_text(encoding="utf-8")


def commands(guide: str) -> list[str]:
    """Each command line of ours, in the text or in a block."""
    text = text_of(guide)
    found = re.findall(r"`understudy ([^`\n]+)`", text) + re.findall(r"^\$ understudy (.+)$", text, re.MULTILINE)
    return sorted(set(found))


def anchors(path: Path) -> set[str]:
    """How the headings of a guide are linked to."""
    headings = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("guide", GUIDES)
def test_every_link_leads_to_a_heading_that_is_there(guide: str) -> None:
    for name, anchor in re.findall(r"\]\(([\w./-]*)(?:#([\w-]+))?\)", text_of(guide)):
        path = DOCS / (name or guide)
        assert path.is_file(), name
        assert not anchor or anchor in anchors(path), f"{name}#{anchor}"


@pytest.mark.parametrize(("guide", "line"), [(guide, line) for guide in GUIDES for line in commands(guide)])
def test_every_command_can_be_given(guide: str, line: str) -> None:
    name, *args = shlex.split(line)
    command = root.get_command(click.Context(root), name)
    assert command is not None, f"{guide}: {line}"
    if args:
        command.make_context(name, args)


@pytest.mark.parametrize("guide", GUIDES)
def test_every_setting_is_one(guide: str) -> None:
    named = re.findall(
        r"\b(UNDERSTUDY_[A-Z_]+[A-Z]|OLLAMA_(?:URL|TIMEOUT|MODEL_NAME)|OPENAI_[A-Z_]+[A-Z])\b", text_of(guide)
    )
    assert {name.removesuffix("_FILE") for name in named} <= {name.upper() for name in Settings.model_fields}


def test_every_cause_that_can_be_run_again_is_one() -> None:
    causes = re.findall(r"--cause ([a-z_]+)", text_of("operations.md"))
    assert set(causes) <= {reason.value for reason in Reason}
    assert causes
