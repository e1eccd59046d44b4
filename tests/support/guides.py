"""README.md and the guides, followed as they are written by a reader with a stack of their own."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from contextlib import contextmanager
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bot_client.sync import Understudy
from tests.support.fake_bot_api import TOKEN, FakeBotApi
from tests.support.snippets import ROOT, Reader, Snippet, snippets
from tests.support.stack import Stack
from understudy.settings import Settings
from workers.stand_in import StandInProcess

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from workers.local_redis import Flavour

# In files of their own, so that they are followed side by side.
FIRST = ("README.md",)
CALLS = ("docs/bots.md", "docs/conversations.md", "docs/failures.md", "docs/money.md", "docs/scaling.md")
EXTENDING = ("docs/settings.md", "docs/extending.md", "docs/tools.md")
MOVING = ("docs/moving.md",)
BATCH = ("docs/batch.md",)

GUIDES = (*FIRST, *CALLS, *EXTENDING, *MOVING, *BATCH)
"""Each document that a test follows."""

SHIPPED = ("understudy", "bot_client", "workers", "tasks", "examples", "celeryconfig.py", "pyproject.toml", "Makefile")
KNOWN = {field.upper() for field in Settings.model_fields}


@contextmanager
def stack_of(documents: tuple[str, ...], folder: Path, flavour: Flavour, workers: Mapping[str, int]) -> Iterator[Stack]:
    """What the readers of these documents have from the start; stand-ins answer for the providers that they show."""
    shown = [entry for document in documents for entry in entries(document)]
    more = [StandInProcess(entry["name"], entry["model"]).start() for entry in shown]
    try:
        for entry, stand_in in zip(shown, more, strict=True):
            entry["base_url"] = stand_in.base_url
            if entry.pop("api_key_env", None):
                entry["api_key"] = "sk-made-up"
        given = json.dumps(shown)
        with Stack(folder, flavour, workers=workers, appendonly=True, UNDERSTUDY_PROVIDERS=given) as stack:
            yield stack
    finally:
        for stand_in in more:
            stand_in.stop()


def follow(document: str, folder: Path, stack: Stack) -> None:
    """Follow a document to its end, in a copy of the checkout: each block works, and each program says something."""
    with FakeBotApi() as telegram:
        reader = _reader(folder, stack, telegram)
        try:
            printed = {snippet: reader.follow(snippet) for snippet in snippets(document)}
            has_workers = any(snippet.mark == "stays in the foreground" for snippet in printed)
            for entry in entries(document) if has_workers else ():
                with Understudy(stack.client()) as llm:
                    llm.force_provider(entry["name"], why="to see that it answers")
                    assert llm.name_thread("Does it answer?").provider == entry["name"]
        finally:
            reader.stop()
    assert printed
    assert [str(snippet) for snippet, text in printed.items() if _is_program(snippet) and not text] == []


def entries(document: str) -> list[dict[str, Any]]:
    """The further providers that a document shows."""
    shown = [each.text for each in snippets(document) if each.language == "dotenv"]
    found = re.findall(r"^UNDERSTUDY_PROVIDERS='(.*)'$", "".join(shown), re.MULTILINE)
    return [entry for given in found for entry in json.loads(given)]


def _is_program(snippet: Snippet) -> bool:
    return snippet.language == "python" and snippet.mark != "file"


def _reader(folder: Path, stack: Stack, telegram: FakeBotApi) -> Reader:
    checkout = folder / "checkout"
    checkout.mkdir()
    for name in SHIPPED:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, checkout / name)
    kept = {name: value for name, value in os.environ.items() if name.upper() not in KNOWN}
    path = [str(Path(sys.executable).parent), str(_tools(folder / "bin")), os.environ["PATH"]]
    installed = {"PATH": os.pathsep.join(path), "PYTHONPATH": str(checkout)}
    installed |= {"TELEGRAM_BOT_TOKEN": TOKEN, "TELEGRAM_API_URL": telegram.url}
    if not entry_points(group="pytest11", name="understudy"):
        installed["PYTEST_PLUGINS"] = "bot_client.testing.plugin"
    return Reader(checkout, {**kept, **stack.environment, **installed})


def _tools(folder: Path) -> Path:
    """A folder for the PATH with what installing the checkout puts there, where it is not installed."""
    folder.mkdir()
    for name, module in {"understudy": "bot_client.cli", "celery": "celery", "pytest": "pytest"}.items():
        if not (Path(sys.executable).parent / name).exists():
            script = folder / name
            script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m {module} "$@"\n', encoding="utf-8")
            script.chmod(0o755)
    return folder
