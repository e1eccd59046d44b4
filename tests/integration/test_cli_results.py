"""`understudy report` and `understudy diff`, given as a user gives them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.support.command_line import NOWHERE, CommandLine

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def cli(tmp_path: Path) -> CommandLine:
    """A command line without any Redis: outputs are files."""
    for name, verdict in (("old.jsonl", "none"), ("new.jsonl", "delete")):
        rows = [{"id": 1, "verdict": "none"}, {"id": 2, "verdict": verdict, "reason": f"It is {verdict}."}]
        (tmp_path / name).write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return CommandLine(tmp_path, NOWHERE.replace("http", "redis"))


def test_what_changed_is_shown_with_examples(cli: CommandLine) -> None:
    ran = cli("diff", "old.jsonl", "new.jsonl")
    assert ran.status == 0, ran.err
    assert "2 rows in both, 1 changed (50.0 %)" in ran.out
    assert "2: It is none. -> It is delete." in ran.out
    assert "->" not in cli("diff", "old.jsonl", "new.jsonl", "--examples", "0").out


def test_what_changed_is_a_document_too(cli: CommandLine) -> None:
    told = cli("diff", "old.jsonl", "new.jsonl", "--json").json
    assert (told["compared"], told["changed"], told["only_old"], told["only_new"]) == (2, 1, 0, 0)
    assert told["changes"][0] == {
        "old": "none", "new": "delete", "rows": 1,
        "examples": [{"id": "2", "old_reason": "It is none.", "new_reason": "It is delete."}],
    }  # fmt: skip


def test_a_report_is_written(cli: CommandLine, tmp_path: Path) -> None:
    ran = cli("report", "new.jsonl", "--out", "page.html")
    assert (ran.status, ran.out) == (0, "Written: page.html\n")
    assert "verdict delete" in (tmp_path / "page.html").read_text("utf-8")


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("diff", "old.jsonl", "nowhere.jsonl"), "The file nowhere.jsonl cannot be read: No such file or directory."),
        (("report", "nowhere.jsonl", "--out", "page.html"), "The file nowhere.jsonl cannot be read"),
        (("report", "old.jsonl", "--out", "no/page.html"), "The report no/page.html cannot be written"),
    ],
)
def test_a_file_that_cannot_be_used_is_named(cli: CommandLine, args: tuple[str, ...], words: str) -> None:
    ran = cli(*args)
    assert (ran.status, words in ran.err) == (2, True), ran.err
