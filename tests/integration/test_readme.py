"""What README.md and the guides show is run as it is written, by a reader with a stack of their own."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from contextlib import contextmanager
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from bot_client.sync import Understudy
from tests.support.fake_bot_api import TOKEN, FakeBotApi
from tests.support.snippets import ROOT, Reader, Snippet, snippets
from tests.support.stack import Stack
from understudy.settings import BUILT_IN, Settings
from workers.stand_in import StandInProcess

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from workers.local_redis import Flavour

GUIDES: dict[str, dict[str, int]] = {
    "README.md": {"ollama,openai": 8},
    "docs/bots.md": {"ollama,openai": 8},
    "docs/conversations.md": {"ollama,openai": 8},
    "docs/failures.md": {"ollama,openai": 8},
    "docs/settings.md": {},
    "docs/extending.md": {},
    "docs/tools.md": {},
    "docs/moving.md": {},
    "docs/money.md": {"ollama,openai": 8},
    "docs/batch.md": {"ollama,ollama.batch": 8, "openai,openai.batch": 8},
}
"""Each document, with the workers that its reader has from the start; others are started by the document itself."""

SHIPPED = ("understudy", "bot_client", "workers", "tasks", "examples", "celeryconfig.py", "pyproject.toml", "Makefile")
KNOWN = {field.upper() for field in Settings.model_fields}


def entries(document: str) -> list[dict[str, Any]]:
    """The further providers that a document shows."""
    shown = [each.text for each in snippets(document) if each.language == "dotenv"]
    found = re.findall(r"^UNDERSTUDY_PROVIDERS='(.*)'$", "".join(shown), re.MULTILINE)
    return [entry for given in found for entry in json.loads(given)]


def tools(folder: Path) -> Path:
    """A folder for the PATH with what installing the checkout puts there, where it is not installed."""
    folder.mkdir()
    for name, module in {"understudy": "bot_client.cli", "celery": "celery", "pytest": "pytest"}.items():
        if not (Path(sys.executable).parent / name).exists():
            script = folder / name
            script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m {module} "$@"\n', encoding="utf-8")
            script.chmod(0o755)
    return folder


@contextmanager
def reader_of(document: str, folder: Path, flavour: Flavour) -> Iterator[tuple[Reader, Stack]]:
    """A reader of a document in a copy of the checkout; stand-ins answer for the providers that it shows."""
    checkout = folder / "checkout"
    checkout.mkdir()
    for name in SHIPPED:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, checkout / name)
    shown = entries(document)
    more = [StandInProcess(entry["name"], entry["model"]).start() for entry in shown]
    reader: Reader | None = None
    try:
        for entry, stand_in in zip(shown, more, strict=True):
            entry["base_url"] = stand_in.base_url
            if entry.pop("api_key_env", None):
                entry["api_key"] = "sk-made-up"
        more_providers = json.dumps(shown)
        with (
            FakeBotApi() as telegram,
            Stack(
                folder, flavour, workers=GUIDES[document], appendonly=True, UNDERSTUDY_PROVIDERS=more_providers
            ) as stack,
        ):
            kept = {name: value for name, value in os.environ.items() if name.upper() not in KNOWN}
            path = [str(Path(sys.executable).parent), str(tools(folder / "bin")), os.environ["PATH"]]
            installed = {"PATH": os.pathsep.join(path), "PYTHONPATH": str(checkout)}
            installed |= {"TELEGRAM_BOT_TOKEN": TOKEN, "TELEGRAM_API_URL": telegram.url}
            if not entry_points(group="pytest11", name="understudy"):
                installed["PYTEST_PLUGINS"] = "bot_client.testing.plugin"
            reader = Reader(checkout, {**kept, **stack.environment, **installed})
            yield reader, stack
    finally:
        if reader:
            reader.stop()
        for stand_in in more:
            stand_in.stop()


@pytest.fixture
def follow(tmp_path: Path, redis_flavour: Flavour) -> Callable[[str], dict[Snippet, str]]:
    """Follows a document to its end: what each block printed."""

    def to_its_end(document: str) -> dict[Snippet, str]:
        with reader_of(document, tmp_path, redis_flavour) as (reader, stack):
            printed = {snippet: reader.follow(snippet) for snippet in snippets(document)}
            has_workers = any(snippet.mark == "stays in the foreground" for snippet in printed)
            for entry in entries(document) if has_workers else ():
                with Understudy(stack.client()) as llm:
                    llm.force_provider(entry["name"], why="to see that it answers")
                    assert llm.name_thread("Does it answer?").provider == entry["name"]
            return printed

    return to_its_end


@pytest.mark.timeout(300)
@pytest.mark.parametrize("document", GUIDES)
def test_a_reader_can_follow_it_block_by_block(document: str, follow: Callable[[str], dict[Snippet, str]]) -> None:
    printed = follow(document)
    assert printed
    silent = [str(snippet) for snippet, text in printed.items() if snippet.language == "python" and not text]
    assert [each for each in silent if not any(s.mark == "file" and str(s) == each for s in printed)] == []


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
    worker = re.fullmatch(r"celery -A workers worker -Q ([a-z.]+) -c [0-9]+ -n \1@%h", line)
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
