"""Programs that are forks of one that has loaded their modules behave as if each had been started by itself."""

from __future__ import annotations

import os
import signal
import subprocess
from tempfile import TemporaryFile
from typing import TYPE_CHECKING

import pytest

from tests.support.warm import Warm, WarmProcess

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SAYS = """\
import os, sys
print(os.getcwd(), dict(os.environ)["WHO"], "PATH" in os.environ, sys.argv[1:], sys.stdin.read())
print("to standard error", file=sys.stderr)
"""


@pytest.fixture(scope="module")
def warm() -> Iterator[Warm]:
    started = Warm("json")
    yield started
    started.stop()


def start(warm: Warm, folder: Path, code: str, *args: str, given: bytes = b"") -> tuple[WarmProcess, Path]:
    """A program of this code; what it prints is in the file."""
    (folder / "program.py").write_text(code, encoding="utf-8")
    said = folder / "said"
    with TemporaryFile() as stdin, said.open("wb") as out:
        stdin.write(given)
        stdin.seek(0)
        files = (stdin.fileno(), out.fileno(), out.fileno())
        return warm.start("program", args, env={"WHO": "the bot"}, cwd=folder, files=files), said


def test_a_program_has_a_folder_an_environment_arguments_and_files_of_its_own(warm: Warm, tmp_path: Path) -> None:
    process, said = start(warm, tmp_path, SAYS, "--one", "two", given="grüß dich".encode())
    assert process.wait(20) == 0
    told = f"{tmp_path} the bot False ['--one', 'two'] grüß dich\n"
    assert sorted(said.read_text("utf-8").splitlines(keepends=True)) == sorted([told, "to standard error\n"])


@pytest.mark.parametrize(
    ("code", "status"),
    [("", 0), ("raise SystemExit(7)", 7), ("import sys; sys.exit('a sentence')", 1), ("1 / 0", 1)],
)
def test_how_it_ends_is_told(warm: Warm, tmp_path: Path, code: str, status: int) -> None:
    process, said = start(warm, tmp_path, code)
    assert process.wait(20) == status
    assert process.poll() == status
    assert ("Traceback" in said.read_text()) == (code == "1 / 0")


def test_it_runs_until_it_is_killed_with_all_its_children(warm: Warm, tmp_path: Path) -> None:
    process, _ = start(warm, tmp_path, "import subprocess; subprocess.run(['sleep', '1000'])")
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.1)
    assert process.poll() is None
    assert os.getpgid(process.pid) == process.pid
    process.kill()
    assert process.wait(20) == -signal.SIGKILL


def test_what_one_program_does_another_does_not_see(warm: Warm, tmp_path: Path) -> None:
    changes = "import json, os; json.changed = True; os.environ['WHO'] = 'me'; os.chdir('/')"
    assert start(warm, tmp_path, changes)[0].wait(20) == 0
    process, said = start(warm, tmp_path, "import json, os; print(hasattr(json, 'changed'), os.environ['WHO'])")
    assert process.wait(20) == 0
    assert said.read_text() == "False the bot\n"
