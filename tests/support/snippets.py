"""The fenced blocks of a document, and how a reader follows them: each is run as it is written.

A comment on the line above a block says what is special about it:

- ``<!-- file: test_bot.py -->``: the block is this file, which later blocks use.
- ``<!-- edit: celeryconfig.py -->``: the block, a diff, is applied to this file.
- ``<!-- stays in the foreground: ready. -->``: the command does not end; it runs, once it has said this, to the end of
  the document.
- ``<!-- not run: a reason -->``: the block is checked in another way.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support.polling import eventually
from understudy.providers import providers_from
from understudy.settings import load_settings
from workers.leash import LeashedProcess

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(__file__).parents[2]
LIMIT_S = 90
START_LIMIT_S = 60.0

MARKS = ("file", "edit", "stays in the foreground", "not run")
DRAWINGS = ("text",)
"""Languages of blocks that nobody runs."""

_FENCE = re.compile(r"^(`{3,})(\w*)$")
_MARK = re.compile(r"^<!-- (?P<mark>[^:]+): (?P<said>.+) -->$")


@dataclass(frozen=True)
class Snippet:
    """One block.

    Args:
        line: of its first line of text.
        mark: one of `MARKS`, or empty.
        said: what follows the mark.
    """

    document: str
    line: int
    language: str
    text: str
    mark: str = ""
    said: str = ""

    def __str__(self) -> str:
        return f"{self.document}:{self.line} ({self.language})"


def snippets(document: str) -> list[Snippet]:
    """Every block of a document of the checkout, in order."""
    lines = (ROOT / document).read_text(encoding="utf-8").splitlines()
    found: list[Snippet] = []
    start, above = 0, ""
    fence: re.Match[str] | None = None
    for number, line in enumerate(lines, start=1):
        if fence is None:
            fence = _FENCE.match(line)
            start, above = number, lines[number - 2] if number > 1 else ""
        elif line == fence[1]:
            text = "".join(f"{each}\n" for each in lines[start : number - 1])
            marked = _MARK.match(above)
            mark, said = (marked["mark"], marked["said"]) if marked else ("", "")
            assert mark in ("", *MARKS), f"{document}:{start}: {mark!r} is none of {', '.join(MARKS)}"
            found.append(Snippet(document, start + 1, fence[2], text, mark, said))
            fence = None
    assert fence is None, f"{document}:{start}: the block has no end"
    return found


class Reader:
    """Someone who follows a document in a copy of the checkout, block by block.

    Args:
        checkout: the copy.
        environment: of every command.
    """

    def __init__(self, checkout: Path, environment: Mapping[str, str]) -> None:
        self.checkout = checkout
        self.environment = dict(environment)
        self._foreground: list[LeashedProcess] = []

    def follow(self, snippet: Snippet) -> str:
        """Do what a block says; returns what it printed."""
        if snippet.mark == "file":
            return self._write(snippet)
        if snippet.mark == "edit":
            return self._edit(snippet)
        if snippet.mark == "stays in the foreground":
            return self._keep_running(snippet)
        if snippet.mark == "not run" or snippet.language in DRAWINGS:
            return ""
        if snippet.language == "python":
            script = self.checkout / f"snippet_{snippet.line}.py"
            script.write_text(snippet.text, encoding="utf-8")
            return self._run(snippet, [sys.executable, str(script)])
        if snippet.language == "bash":
            return self._run(snippet, ["bash", "-euo", "pipefail", "-c", snippet.text])
        if snippet.language == "dotenv":
            return self._settings(snippet)
        raise AssertionError(f"{snippet}: there is no way to run this language; say `not run` and why")

    def stop(self) -> None:
        """Ctrl-C for all that stays in the foreground."""
        for process in self._foreground:
            process.kill()

    def _run(self, snippet: Snippet, command: list[str]) -> str:
        done = subprocess.run(
            command,
            cwd=self.checkout,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            stdin=subprocess.DEVNULL,
            check=False,
        )
        assert done.returncode == 0, f"{snippet} ended with {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def _write(self, snippet: Snippet) -> str:
        path = self.checkout / snippet.said
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(snippet.text, encoding="utf-8")
        return ""

    def _edit(self, snippet: Snippet) -> str:
        """Replace the lines that a diff keeps or removes by those that it keeps or adds; they must be there once."""
        path = self.checkout / snippet.said
        lines = snippet.text.splitlines()
        assert all(line[:1] in " +-" for line in lines), f"{snippet}: every line of a diff begins with a space, + or -"
        before = "".join(f"{line[1:]}\n" for line in lines if line[:1] != "+")
        after = "".join(f"{line[1:]}\n" for line in lines if line[:1] != "-")
        text = path.read_text(encoding="utf-8")
        assert text.count(before) == 1, f"{snippet}: {snippet.said} does not hold these lines once:\n{before}"
        path.write_text(text.replace(before, after), encoding="utf-8")
        return ""

    def _keep_running(self, snippet: Snippet) -> str:
        log = self.checkout / f"snippet_{snippet.line}.log"
        (command,) = snippet.text.splitlines()
        with log.open("wb") as output:
            process = LeashedProcess(
                ["bash", "-c", f"cd {shlex.quote(str(self.checkout))} && exec {command}"],
                env=self.environment,
                output=output.fileno(),
            )
        self._foreground.append(process)

        def said() -> str:
            text = log.read_text(encoding="utf-8", errors="replace")
            assert process.alive, f"{snippet} has ended:\n{text[-2000:]}"
            assert snippet.said in text, f"{snippet} has not said {snippet.said!r}:\n{text[-2000:]}"
            return text

        return eventually(said, limit_s=START_LIMIT_S)

    def _settings(self, snippet: Snippet) -> str:
        """The lines are added to `.env`, and must be settings that a process starts with."""
        path = self.checkout / ".env"
        with path.open("a", encoding="utf-8") as file:
            file.write(snippet.text)
        alone = self.checkout / f"snippet_{snippet.line}.env"
        alone.write_text(snippet.text, encoding="utf-8")
        return ",".join(provider.name for provider in providers_from(load_settings(env_file=alone)))
