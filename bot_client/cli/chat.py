"""`chat`: a conversation at the terminal, streamed."""

from __future__ import annotations

import asyncio
import signal
import sys
import uuid
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import click

from bot_client.cli.chat_lines import Lines
from bot_client.cli.chat_view import JsonView, PlainView, TerminalView
from bot_client.cli.exits import Exit, exit_of
from bot_client.cli.options import SPENDS, Duration
from bot_client.cli.output import is_json, set_json
from bot_client.client import Understudy
from understudy.errors import InvalidRequest, UnderstudyError

if TYPE_CHECKING:
    from bot_client.cli.chat_view import View
    from bot_client.conversation import Conversation

HELP = (
    "/clear forgets what was said, /system TEXT sets the system prompt, /quit or Ctrl-D ends; Ctrl-C stops an answer."
)


@click.command()
@click.option("--conversation", "conversation_id", metavar="ID", help="To go on with; without it, a new one.")
@click.option("--system", metavar="TEXT", help="The system prompt.")
@click.option("--language", help="To answer in, whatever language you write in.")
@click.option("--deadline", "deadline_s", type=Duration(), help="How long to wait for each answer, such as 30s or 2m.")
@click.option("--spend", type=click.Choice(SPENDS), help="Whether it may cost money.")
@click.option("--local-only", is_flag=True, help="Only providers that are marked as local may see the text.")
@click.option("--only", metavar="PROVIDER", help="Only this provider may answer.")
@click.option("--user", "user_id", metavar="ID", help="Whom the conversation is for.")
@click.option(
    "--json",
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=set_json,
    help="Print each event as JSON, one a line.",
)
def chat(conversation_id: str | None, system: str | None, language: str | None, **options: Any) -> int:
    """Talk with the assistant. Without a terminal, each line of standard input is a turn."""
    given = {name: value for name, value in options.items() if value is not None}
    is_terminal = sys.stdin.isatty() and sys.stdout.isatty()
    view: View = JsonView() if is_json() else TerminalView() if is_terminal else PlainView()
    named = f"cli-{uuid.uuid4()}" if conversation_id is None else conversation_id
    return asyncio.run(Talk(view, named, system, language, given).run())


class Talk:
    """A conversation with whoever sits at the terminal."""

    def __init__(
        self, view: View, conversation_id: str, system: str | None, language: str | None, options: dict[str, Any]
    ) -> None:
        self._view = view
        self._id = conversation_id
        self._system = system
        self._language = language
        self._options = options
        self._turn: asyncio.Task[None] | None = None
        self._status = Exit.OK

    async def run(self) -> Exit:
        """Turn after turn, to the end of the input; the status of the last turn that failed."""
        lines = Lines()
        async with Understudy.from_settings() as llm:
            chat = self._conversation(llm)
            loop = asyncio.get_running_loop()
            with suppress(NotImplementedError):  # Windows: Ctrl-C ends the program there
                loop.add_signal_handler(signal.SIGINT, self._interrupt)
            self._view.begin(f"Conversation {self._id}. {HELP}")
            while True:
                self._view.prompt()
                try:
                    line = await lines.read()
                except InvalidRequest as error:
                    self._fail(error)
                    continue
                if line is None or line.strip() in ("/quit", "/exit"):
                    break
                if line.startswith("/") and not line.startswith("//"):
                    chat = await self._command(line, llm, chat)
                elif line.strip():
                    self._turn = asyncio.create_task(self._say(chat, line.removeprefix("/")))
                    await asyncio.wait([self._turn])
            self._view.end()
        return self._status

    def _interrupt(self) -> None:
        if self._turn is not None and not self._turn.done():
            self._turn.cancel()
        else:
            self._view.note("/quit or Ctrl-D ends.")
            self._view.prompt()

    async def _say(self, chat: Conversation, text: str) -> None:
        try:
            async for event in chat.say(text, stream=True, **self._options):
                self._view.event(event)
        except asyncio.CancelledError:
            self._view.cancelled()
        except UnderstudyError as error:
            self._fail(error)

    async def _command(self, line: str, llm: Understudy, chat: Conversation) -> Conversation:
        name, _, rest = line.strip().partition(" ")
        try:
            if name == "/clear":
                await chat.clear()
                self._view.done("cleared", "Forgotten.")
            elif name == "/system":
                before, self._system = self._system, rest.strip() or None
                try:
                    chat = self._conversation(llm)
                except InvalidRequest:
                    self._system = before
                    raise
                self._view.done("system", "The system prompt is set." if rest else "There is no system prompt now.")
            else:
                self._view.note(f"There is no such command. {HELP} A text that begins with a slash begins with two.")
        except UnderstudyError as error:
            self._fail(error)
        return chat

    def _conversation(self, llm: Understudy) -> Conversation:
        return llm.conversation(self._id, system=self._system, language=self._language)

    def _fail(self, error: UnderstudyError) -> None:
        self._status = exit_of(error)
        self._view.failed(error, self._status)
