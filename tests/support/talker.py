"""A bot's process that talks in one conversation: `python -m tests.support.talker MODE CONVERSATION TEXT…`.

MODE is `says`, or `dies` as soon as the answer is there, before it stands in the history. A place that it leaves behind
is kept for 2 s, so that tests need not wait for longer.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from typing import TYPE_CHECKING, Any

import bot_client.turn_to_take as turn
import understudy.state.conversation as state
from bot_client import Understudy

if TYPE_CHECKING:
    from tests.support.command_line import CommandLine

LEASE_MS, KEEP_S = 2_000, 0.5


async def start(cli: CommandLine, mode: str, conversation: str, *texts: str) -> asyncio.subprocess.Process:
    """Start a talker with the settings of a command line."""
    pipe = asyncio.subprocess.PIPE
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.support.talker", mode, conversation, *texts,
        stdin=asyncio.subprocess.DEVNULL, stdout=pipe, stderr=pipe, env=cli.env, cwd=cli.folder,
    )  # fmt: skip


async def talk(mode: str, conversation: str, texts: list[str]) -> None:
    """Say one text after another, and print each answer as a line of JSON."""
    state.LEASE_MS, turn.KEEP_S = LEASE_MS, KEEP_S  # type: ignore[attr-defined]
    if mode == "dies":
        state.RedisConversations.end = _die  # type: ignore[method-assign]
    async with Understudy.from_settings() as llm:
        chat = llm.conversation(conversation)
        for text in texts:
            outcome = await chat.say(text)
            print(json.dumps({"said": text, "answer": outcome.result.text}), flush=True)


async def _die(*_: Any, **__: Any) -> None:
    os._exit(9)


if __name__ == "__main__":
    asyncio.run(talk(sys.argv[1], sys.argv[2], sys.argv[3:]))
