"""What README.md shows is run as it is written; what a block of any guide is not run for is checked otherwise."""

from __future__ import annotations

import ast
import re
import subprocess
import tomllib
from typing import TYPE_CHECKING

import pytest

from tests.support.guides import FIRST, GUIDES, follow, stack_of
from tests.support.snippets import ROOT, Snippet, snippets
from understudy.settings import BUILT_IN

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from workers.local_redis import Flavour


@pytest.mark.timeout(300)
@pytest.mark.parametrize("document", FIRST)
def test_a_reader_can_follow_it_block_by_block(document: str, tmp_path: Path, redis_flavour: Flavour) -> None:
    with stack_of((document,), tmp_path, redis_flavour, {"ollama,openai": 8}) as stack:
        follow(document, tmp_path, stack)


def test_the_first_screen_has_one_sentence_and_working_code() -> None:
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    assert lines[0] == "# Understudy"
    sentence = " ".join(lines[2 : lines.index("", 2)])
    assert sentence.count(". ") == 0
    assert sentence.endswith(".")
    first = snippets("README.md")[0]
    assert first.language == "python"
    assert first.line + first.text.count("\n") <= 30
    assert len(lines) <= 300


def not_run() -> list[Snippet]:
    return [snippet for document in GUIDES for snippet in snippets(document) if snippet.mark == "not run"]


def make_knows(line: str) -> None:
    target = re.fullmatch(r"make ([a-z-]+)", line)
    assert target, line
    done = subprocess.run(["make", "-n", target[1]], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def extras_exist(line: str) -> None:
    extras = re.fullmatch(r"pip install (?:\.|'\.\[([a-z,]+)\]')", line)
    assert extras, line
    known = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    assert set((extras[1] or "").split(",")) - {""} <= set(known)


def consumes_a_queue(line: str) -> None:
    worker = re.fullmatch(
        r"celery -A workers worker -Q ([a-z.]+) -c [0-9]+(?: --prefetch-multiplier 2)? -n \1@%h", line
    )
    assert worker, line
    assert worker[1].removesuffix(".batch") in BUILT_IN


REASONS: dict[str, Callable[[str], None]] = {
    "a target of the Makefile": make_knows,
    "installs packages": extras_exist,
    "workers run until they are ended": consumes_a_queue,
}
"""Why a block may be left out, and how each of its lines is checked instead."""


@pytest.mark.parametrize("snippet", not_run(), ids=str)
def test_a_block_that_is_not_run_says_why_and_is_checked_otherwise(snippet: Snippet) -> None:
    for line in snippet.text.splitlines():
        REASONS[snippet.said](line)


def test_every_language_is_known_and_only_drawings_are_passed_over() -> None:
    used = {snippet.language for document in GUIDES for snippet in snippets(document)}
    assert used == {"python", "bash", "dotenv", "diff", "text"}


@pytest.mark.parametrize("document", GUIDES)
def test_every_python_block_can_be_parsed_and_every_link_leads_somewhere(document: str) -> None:
    for snippet in snippets(document):
        if snippet.language == "python":
            ast.parse(snippet.text)
    text = (ROOT / document).read_text(encoding="utf-8")
    for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text):
        assert ((ROOT / document).parent / link).is_file(), link
