"""The main job in front of the reader's eyes: calls, an outage, the fallback, the return. `make demo` runs it.

It uses `bot_client` as any bot does, on a stack of its own that it starts and ends.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys

from rich.console import Console

from bot_client import Understudy
from examples.demo_board import Board
from examples.demo_stack import DemoStack, StackFailed
from examples.demo_steps import Demo

HELD, NOT_HELD, NO_STACK, INTERRUPTED = 0, 1, 2, 130
AGAIN_S = 0.5
"""How long a step may take to hear that it was interrupted."""


async def show(board: Board) -> int:
    """Start the stack, run every step, end the stack; returns the exit status."""
    board.say("Starting Redis, the workers and what else is missing ...")
    async with DemoStack() as stack:
        for name, words in stack.parts:
            board.part(name, words)
        if why_not := stack.why_not:
            board.say(why_not)
            return NO_STACK
        # As the shell of a bot would have them.
        os.environ.update(stack.env)
        board.showing = True
        try:
            async with Understudy.from_settings() as llm:
                await Demo(llm, stack, board).run()
        finally:
            board.showing = False
        board.table()
        if not board.all_held:
            board.logs(stack.logs())
    board.close()
    return HELD if board.all_held else NOT_HELD


async def run(board: Board) -> int:
    """Like `show`; the first signal ends it in good order, and later ones change nothing about that."""
    showing = asyncio.create_task(show(board))

    def interrupt() -> None:
        if not showing.cancelling():
            showing.cancel()
            asyncio.get_running_loop().call_later(AGAIN_S, again)

    def again() -> None:
        # Up to Python 3.11 `asyncio.wait_for`, which the Redis client uses, may swallow a cancellation.
        if board.showing and not showing.done():
            showing.cancel()
            asyncio.get_running_loop().call_later(AGAIN_S, again)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, interrupt)
    try:
        return await showing
    except asyncio.CancelledError:
        board.say("Interrupted; everything that was started has ended.")
        return INTERRUPTED
    except StackFailed as error:
        board.say(str(error))
        return NO_STACK


if __name__ == "__main__":
    sys.exit(asyncio.run(run(Board(Console(highlight=False)))))
