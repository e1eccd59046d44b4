"""What holds for every command of `understudy`: wrong usage, completion, terminals, Ctrl-C."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from bot_client.cli.root import COMMANDS, run
from tests.support.command_line import LIMIT_S, NOWHERE, CommandLine, Ran
from tests.support.polling import eventually

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

TEXT = "words of a user"


@pytest.fixture
def cli(tmp_path: Path) -> CommandLine:
    """Without a Redis: none of this may need one."""
    return CommandLine(tmp_path, "redis://127.0.0.1:9/0")


@pytest.fixture
def here(capsys: pytest.CaptureFixture[str]) -> Callable[..., Ran]:
    """Runs a command in the test's own process: for what ends before a setting is read."""

    def command(*args: str) -> Ran:
        status = run(list(args))
        out, err = capsys.readouterr()
        return Ran(int(status), out, err)

    return command


def test_help_comes_without_loading_redis_celery_or_rich(cli: CommandLine) -> None:
    code = (
        "import sys; from bot_client.cli.root import run; status = run(['--help']);"
        "print(sorted({'redis', 'celery', 'rich', 'pydantic'} & set(sys.modules)), status)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=cli.env, cwd=cli.folder, check=True
    )
    assert done.stdout.splitlines()[-1] == "[] 0"
    assert "doctor" in done.stdout
    assert "Exit statuses:" in done.stdout


def test_every_command_has_a_help_page_and_takes_json(here: Callable[..., Ran]) -> None:
    for name in COMMANDS:
        ran = here(name, "--help")
        assert ran.status == 0
        assert "--json" in ran.out


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        (("nonsense",), "No such command 'nonsense'. See understudy --help."),
        (("status", "--wach"), "No such option '--wach'. Did you mean '--watch'? See understudy status --help."),
        (("why",), "Missing argument 'ID'. See understudy why --help."),
        (("status", "--watch", "--json"), ""),
        (("completion", "tcsh"), "is not one of 'bash', 'zsh', 'fish'. See understudy completion --help."),
    ],
)
def test_wrong_usage_is_exit_status_2_and_one_sentence(
    here: Callable[..., Ran], args: tuple[str, ...], sentence: str
) -> None:
    ran = here(*args)
    assert ran.status == 2
    assert (ran.out == "") != ("--json" in args)
    assert sentence in ran.err


@pytest.mark.parametrize(
    "args",
    [("moderate", TEXT, "more " + TEXT), ("moderate", "--" + TEXT), ("ask", TEXT, "--bogus"), ("name", "-" + TEXT)],
)
@pytest.mark.parametrize("options", [(), ("--json",)], ids=["human", "json"])
def test_a_mistake_around_a_text_does_not_repeat_it(
    here: Callable[..., Ran], args: tuple[str, ...], options: tuple[str, ...]
) -> None:
    ran = here(*options, *args)
    assert ran.status == 2
    assert TEXT not in ran.out + ran.err
    assert not options or ran.json["error"]["type"] == "UsageError"


def test_json_may_stand_before_the_command_and_after_it(cli: CommandLine) -> None:
    for args in (("--json", "completion", "zsh"), ("completion", "zsh", "--json")):
        assert cli(*args).json["shell"] == "zsh"
    assert cli("--json", "why", "x").json["error"]["type"] == "Unavailable"
    assert cli("why", "x", "--json").json["error"]["type"] == "Unavailable"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_completion_script_asks_the_command_itself(cli: CommandLine, shell: str) -> None:
    ran = cli("completion", shell)
    assert ran.status == 0
    assert f"_UNDERSTUDY_COMPLETE={shell}_complete" in ran.out
    cli.env["SHELL"] = f"/usr/bin/{shell}"
    assert cli("completion").out == ran.out


@pytest.mark.parametrize(
    ("words", "expected"),
    [("understudy st", "status"), ("understudy force o", "openai"), ("understudy ask --spend n", "never")],
)
def test_commands_providers_and_values_are_completed(cli: CommandLine, words: str, expected: str) -> None:
    cli.env |= {
        "_UNDERSTUDY_COMPLETE": "bash_complete",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split()) - 1),
    }
    assert f"plain,{expected}" in cli().out.splitlines()


def test_settings_that_are_wrong_are_exit_status_2_with_a_sentence_each(cli: CommandLine) -> None:
    cli.env |= {"OLLAMA_TIMEOUT": "soon", "REDIS_URL": "http://localhost"}
    ran = cli("status")
    assert ran.status == 2
    assert "OLLAMA_TIMEOUT is 'soon'" in ran.err
    assert "REDIS_URL is 'http://localhost'" in ran.err
    error = cli("status", "--json").json["error"]
    assert (error["type"], len(error["sentences"])) == ("SettingsError", 2)


def test_an_internal_error_shows_where_but_not_with_what(cli: CommandLine) -> None:
    code = (
        "import bot_client.cli.controls as c, sys; from bot_client.cli.root import run\n"
        f"def broken(*_): raise KeyError({TEXT!r})\n"
        "c.note = broken\n"
        "sys.exit(run(['force', 'ollama', '--why', 'x']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=cli.env, check=False)
    assert done.returncode == 1
    assert "Internal error (KeyError)" in done.stderr
    assert "controls.py" in done.stderr
    assert TEXT not in done.stderr


def test_a_reader_that_leaves_early_sees_no_traceback(cli: CommandLine) -> None:
    command = f"{sys.executable} -m bot_client.cli completion bash | head -n 1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, env=cli.env, cwd=cli.folder, check=False)
    assert "Traceback" not in done.stderr


def test_watch_refreshes_in_a_terminal_until_ctrl_c(tmp_path: Path, redis_url: str) -> None:
    cli = CommandLine(tmp_path, redis_url, TERM="xterm-256color", OLLAMA_URL=NOWHERE)
    master, slave = pty.openpty()
    command = [sys.executable, "-m", "bot_client.cli", "status", "--watch"]
    process = subprocess.Popen(
        command, stdin=slave, stdout=slave, stderr=slave, env=cli.env, cwd=tmp_path, start_new_session=True
    )
    os.close(slave)
    os.set_blocking(master, False)
    shown = b""

    def twice() -> bool:
        nonlocal shown
        try:
            shown += os.read(master, 65536)
        except BlockingIOError:
            return False
        return len(re.findall(rb"Next try", shown)) >= 2

    try:
        eventually(twice)
        process.send_signal(signal.SIGINT)
        assert process.wait(LIMIT_S) == 130
    finally:
        process.kill()
        process.wait()
        os.close(master)
    assert b"Traceback" not in shown
