"""A bot without any platform: it answers over TCP, line by line, while the answer is written.

    python examples/plain_async_bot.py --port 7777

Talk to it with `nc 127.0.0.1 7777`; `/stop` ends an answer. Each connection is a conversation of its own.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
from typing import TYPE_CHECKING
from uuid import uuid4

from bot_client import CallCancelled, Understudy, UnderstudyError

if TYPE_CHECKING:
    from asyncio import StreamReader, StreamWriter

    from bot_client.stream import AgentStream

SYSTEM = "You are a helpful assistant in a chat. Answer briefly, in plain text."


async def talk(llm: Understudy, reader: StreamReader, writer: StreamWriter) -> None:
    """Serve one connection: every line is a message; those that come meanwhile are answered in their order."""
    conversation = llm.conversation(f"plain:{uuid4()}", system=SYSTEM)
    turns: set[AgentStream] = set()
    try:
        async with asyncio.TaskGroup() as answers:
            async for raw in reader:
                line = raw.decode(errors="replace").strip()
                if line == "/stop":
                    for turn in list(turns):
                        await turn.cancel()
                elif line:
                    turn = conversation.say(line, stream=True)
                    turns.add(turn)
                    answers.create_task(answer(turn, writer, turns))
    except* ConnectionError:
        pass  # they have gone; leaving the streams has cancelled the turns
    finally:
        writer.close()


async def answer(turn: AgentStream, writer: StreamWriter, turns: set[AgentStream]) -> None:
    """Write an answer as it comes. What is written cannot be taken back, so a new beginning is said."""
    try:
        async with turn:
            async for event in turn:
                if event.type == "delta":
                    writer.write(event.text.encode())
                elif event.type == "restarted":
                    writer.write(f"\n({event.why}; {event.provider or 'another'} begins anew)\n".encode())
                await writer.drain()
        writer.write(b"\n")
    except CallCancelled:
        writer.write(b"\n(stopped)\n")
    except UnderstudyError as error:
        writer.write(f"\n(no answer: {type(error).__name__})\n".encode())
    finally:
        turns.discard(turn)


async def main() -> None:
    """Serve until Ctrl-C."""
    parser = argparse.ArgumentParser(description="A bot over TCP on Understudy.")
    parser.add_argument("--port", type=int, default=7777, help="0 takes a free one")
    port = parser.parse_args().port
    talks: set[asyncio.Task[None]] = set()
    ended = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)

    async with Understudy.from_settings() as llm:

        def connected(reader: StreamReader, writer: StreamWriter) -> None:
            task = asyncio.create_task(talk(llm, reader, writer))
            talks.add(task)
            task.add_done_callback(talks.discard)

        async with await asyncio.start_server(connected, "127.0.0.1", port) as server:
            print(f"ready on 127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)  # noqa: T201
            await ended.wait()
            for task in talks:
                task.cancel()


if __name__ == "__main__":
    asyncio.run(main())
