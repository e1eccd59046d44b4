"""A bot that dies between opening a call and publishing its message; it prints the call's id."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import TYPE_CHECKING

from bot_client import Understudy

if TYPE_CHECKING:
    from bot_client.publisher import Message


def die(message: Message) -> None:
    """Print the id and die, as by a power cut."""
    print(message.call_id, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)


async def main() -> None:
    """Ask once."""
    async with Understudy.from_settings() as llm:
        llm._calls._publish = die
        await llm.moderate("asked by one who died", deadline_s=60)


if __name__ == "__main__":
    asyncio.run(main())
