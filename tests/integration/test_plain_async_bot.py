"""The bot without a platform, as a process of its own, talked to over TCP."""

from __future__ import annotations

import asyncio
import re
import signal
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from tests.support.example import Example
from tests.support.polling import aeventually
from workers.stand_in import Fate
from workers.stand_in.answers import filled_up, tokens_of

if TYPE_CHECKING:
    from asyncio import StreamReader, StreamWriter
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.support.stack import Stack

SENTENCE = r"\(stand-in\) No model read this: .+ Your message of (\d+) words arrived( after .+)?; this is .+\."


@pytest.fixture
async def port(stack: Stack, tmp_path: Path) -> AsyncIterator[int]:
    with Example(tmp_path, "plain_async_bot.py", "--port", "0", environment=stack.environment) as bot:
        ready = re.search(r"ready on 127\.0\.0\.1:(\d+)", bot.says("ready on"))
        assert ready
        yield int(ready[1])
        bot.process.signal(signal.SIGTERM)
        assert await aeventually(lambda: not bot.process.alive)
        assert bot.process.exit_code == 0
        assert bot.said.count("\n") == 1


@asynccontextmanager
async def connected(port: int) -> AsyncIterator[tuple[StreamReader, StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    yield reader, writer
    writer.close()


async def test_answers_come_as_they_are_written_in_order_and_know_what_was_said_before(stack: Stack, port: int) -> None:
    async with connected(port) as (reader, writer):
        writer.write(b"One disk or two?\nAnd where do I keep them?\n")
        first, second = [(await reader.readline()).decode().strip() for _ in range(2)]
        assert (match := re.fullmatch(SENTENCE, first))
        assert match[1] == "4"
        assert (match := re.fullmatch(SENTENCE, second))
        assert (match[1], bool(match[2])) == ("6", True)
        stack.ollama.set_fate(Fate(tokens=60, drip_ms=200))
        writer.write(b"Tell me more\n")
        assert (await reader.read(100)).startswith(b"(stand")
        assert stack.running("ollama") == 1


async def test_an_answer_of_another_provider_is_begun_anew(stack: Stack, port: int) -> None:
    stack.ollama.set_fate(Fate(tokens=60, drip_ms=5, cut_after=50))
    stack.openai.set_fate(Fate(tokens=60))
    async with connected(port) as (reader, writer):
        writer.write(b"One disk or two?\n")
        writer.write_eof()
        said = (await reader.read(-1)).decode()
    whole = said.partition("(cut; openai begins anew)\n")[2].removesuffix("\n")
    assert whole == "".join(filled_up(tokens_of(whole.partition("\n")[0]), 60))


async def test_stop_ends_an_answer_and_so_does_hanging_up(stack: Stack, port: int) -> None:
    stack.ollama.set_fate(Fate(tokens=600, drip_ms=50))
    async with connected(port) as (reader, writer):
        writer.write(b"One disk or two?\n")
        await reader.read(10)
        writer.write(b"/stop\n")
        assert (await reader.readuntil(b"(stopped)\n")).endswith(b"(stopped)\n")
        await aeventually(lambda: stack.running("ollama") == 0)
        writer.write(b"One disk or two?\n")
        await aeventually(lambda: stack.running("ollama") == 1)
    await aeventually(lambda: stack.running("ollama") == 0)
