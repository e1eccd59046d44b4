"""`understudy chat` at a terminal, in a pipe and as JSON, with real workers."""

from __future__ import annotations

import json
import re
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.command_line import CommandLine
from tests.support.polling import aeventually
from tests.support.terminal import CTRL_C, CTRL_D, terminal
from workers.stand_in import Fate

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.support.stack import Stack
    from tests.support.terminal import Terminal


@pytest.fixture
def cli(stack: Stack, tmp_path: Path) -> CommandLine:
    return CommandLine(tmp_path, stack.redis.url(), **stack.environment)


@pytest.fixture
def conversation(request: pytest.FixtureRequest) -> str:
    """One of the test's own."""
    return str(request.node.name)


@pytest.fixture
async def at_terminal(cli: CommandLine, conversation: str) -> AsyncIterator[Terminal]:
    command = [sys.executable, "-m", "bot_client.cli", "chat", "--conversation", conversation]
    async with terminal(command, cli.env, cli.folder) as at:
        await at.shows("> ")
        yield at


async def asked(stack: Stack) -> dict[str, Any]:
    """The request of the call that was made last."""
    async with stack.look() as look:
        ids = [key.rpartition(":")[2] async for key in look.redis.scan_iter(look.keys.call("*"), count=1000)]
        records = [record for record in await look.ledger.records(ids) if record]
    latest: dict[str, Any] = json.loads(max(records, key=lambda record: record.created).request)
    return latest


async def test_an_answer_is_shown_as_it_comes_and_who_gives_it_when_that_changes(
    stack: Stack, at_terminal: Terminal
) -> None:
    stack.ollama.set_fate(Fate(drip_ms=100, tokens=40))
    at_terminal.press("Hello\n")
    await at_terminal.shows("[ollama (llama3.2)]\n")
    await aeventually(lambda: len(at_terminal.shown.rpartition("]\n")[2]) > 5)
    assert stack.running("ollama") == 1  # some of it is shown while the rest is still to come
    await at_terminal.shows("\n> ")
    stack.ollama.set_fate(Fate())
    at_terminal.press("Again\n")
    assert "ollama" not in await at_terminal.shows("\n> ")
    stack.ollama.set_fate(Fate(status=500))
    at_terminal.press("And now?\n")
    await at_terminal.shows("[openai (gpt-stand-in)]\n")
    await at_terminal.shows("\n> ")
    at_terminal.press(CTRL_D)
    assert await at_terminal.ended() == 0


async def test_what_is_shown_of_an_answer_that_breaks_off_is_said_to_be_dropped(
    stack: Stack, at_terminal: Terminal
) -> None:
    stack.ollama.set_fate(Fate(cut_after=5, drip_ms=20))
    at_terminal.press("Hello\n")
    await at_terminal.shows("[ollama (llama3.2)]\n")
    assert (
        await at_terminal.shows("[what stands above is dropped (cut off in the middle): openai answers anew]\n")
    ).strip()
    assert "ollama" not in await at_terminal.shows("\n> ")


async def test_ctrl_c_stops_the_answer_and_not_the_program(
    stack: Stack, at_terminal: Terminal, conversation: str
) -> None:
    stack.ollama.set_fate(Fate(drip_ms=200, tokens=1_000))
    at_terminal.press("Hello\n")
    await at_terminal.shows("[ollama (llama3.2)]\n")
    await aeventually(lambda: stack.running("ollama") == 1)
    at_terminal.press(CTRL_C)
    await at_terminal.shows("[stopped; nothing of it is kept]\n> ")
    await aeventually(lambda: stack.running("ollama") == 0)
    stack.ollama.set_fate(Fate())
    at_terminal.press(CTRL_C)
    await at_terminal.shows("/quit or Ctrl-D ends.\n> ")
    at_terminal.press("Still there?\n")
    await at_terminal.shows("\n> ")
    at_terminal.press("/quit\n")
    assert await at_terminal.ended() == 0
    async with stack.client() as llm:
        assert [message["role"] for message in await llm.conversation(conversation).history()] == ["user", "assistant"]


async def test_commands_clear_the_history_and_set_the_system_prompt(stack: Stack, at_terminal: Terminal) -> None:
    at_terminal.press("One\n")
    await at_terminal.shows("\n> ")
    at_terminal.press("/clear\n")
    await at_terminal.shows("Forgotten.\n> ")
    at_terminal.press("/system Be brief.\n")
    await at_terminal.shows("The system prompt is set.\n> ")
    at_terminal.press("/nonsense\n")
    await at_terminal.shows("There is no such command.")
    at_terminal.press("//slash\n")
    await at_terminal.shows("\n> ")
    at_terminal.press("/quit\n")
    assert await at_terminal.ended() == 0
    assert await asked(stack) == {"system": "Be brief.", "messages": [{"role": "user", "content": "/slash"}]}


async def test_each_line_of_a_pipe_is_a_turn_and_whole_answers_come_out(stack: Stack, cli: CommandLine) -> None:
    ran = await cli.run("chat", "--language", "German", stdin=b"One\n\nTwo\n/quit\nThree\n")
    assert ran.status == 0
    assert len(ran.out.splitlines()) == 2
    assert ran.err == "ollama (llama3.2)\n"


async def test_events_are_json_documents_one_a_line(stack: Stack, cli: CommandLine) -> None:
    stack.ollama.set_fate(Fate(cut_after=5, times=1))
    ran = await cli.run("chat", "--json", "--deadline", "30s", stdin=b"One\n/clear\n")
    events = [json.loads(line) for line in ran.out.splitlines()]
    assert ran.status == 0
    assert [e["type"] for e in events if e["type"] != "delta"] == ["started", "restarted", "started", "done", "cleared"]
    restarted = next(i for i, e in enumerate(events) if e["type"] == "restarted")
    text = "".join(e["text"] for e in events[restarted:] if e["type"] == "delta")
    assert text == events[-2]["outcome"]["result"]["text"]


@pytest.mark.parametrize(
    ("args", "stdin", "status", "sentence"),
    [
        (["--conversation", ""], b"x\n", 2, "conversation: id has 0 characters; at least 1 is needed."),
        (["--language", "x" * 61], b"x\n", 2, "conversation: language has 61 characters; at most 60 are allowed."),
        (["--only", "nobody"], b"x\n", 2, "call: only is not a provider of the settings; known are ollama, openai."),
        ([], b"\xff\n", 2, "Standard input must be UTF-8 text."),
        ([], b"x" * 100_001, 2, "conversation: text has 100,001 characters; at most 100,000 are allowed."),
    ],
)
async def test_bad_input_is_one_sentence_and_an_exit_status(
    stack: Stack, cli: CommandLine, args: list[str], stdin: bytes, status: int, sentence: str
) -> None:
    ran = await cli.run("chat", *args, stdin=stdin)
    assert (ran.status, ran.out) == (status, "")
    assert re.fullmatch(rf"understudy: {re.escape(sentence)}\n", ran.err)
    assert stack.requests() == 0


async def test_a_turn_that_fails_is_said_and_the_next_one_goes_on(stack: Stack, cli: CommandLine) -> None:
    stack.ollama.set_fate(Fate(status=400, times=1))
    ran = await cli.run("chat", stdin=b"One\nTwo\n")
    assert ran.status == 1
    assert ran.err.startswith("understudy: agent_turn ")
    assert len(ran.out.splitlines()) == 1
