"""How a conversation is shown: at a terminal, in a pipe, or as JSON."""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from typing import TYPE_CHECKING, Any, Protocol

import click

from bot_client.cli.output import complain, note
from bot_client.events import Delta, Done, Restarted, Started, ToolCalled, ToolReturned
from understudy.errors import CallError
from understudy.words import printable, words

if TYPE_CHECKING:
    from bot_client.cli.exits import Exit
    from bot_client.events import AgentEvent
    from understudy.errors import UnderstudyError


class View(Protocol):
    """What a talk shows."""

    def begin(self, text: str) -> None:
        """Once, before the first prompt."""

    def prompt(self) -> None:
        """The next line is wanted."""

    def event(self, event: AgentEvent) -> None:
        """Something happened in a turn."""

    def cancelled(self) -> None:
        """The turn was given up."""

    def failed(self, error: UnderstudyError, status: Exit) -> None:
        """Something could not be done."""

    def done(self, what: str, text: str) -> None:
        """A command was carried out."""

    def note(self, text: str) -> None:
        """Something worth knowing."""

    def end(self) -> None:
        """Once, at the end."""


class TerminalView:
    """For people: the text as it comes."""

    def __init__(self) -> None:
        self._shown = ""
        """The provider that was named last."""
        self._in_text = False

    def begin(self, text: str) -> None:
        """Say how to end."""
        self.note(text)

    def prompt(self) -> None:
        """Ask for a line."""
        click.secho("> ", nl=False, bold=True, color=_colour())

    def event(self, event: AgentEvent) -> None:
        """Show it."""
        if isinstance(event, Delta):
            self._in_text = True
            click.echo(printable(event.text, keep="\n\t"), nl=False)
        elif isinstance(event, Started):
            self._name(event.provider, event.model)
        elif isinstance(event, Restarted):
            who = f"{event.provider} answers" if event.provider else "it is answered"
            self.note(f"[what stands above is dropped ({words(event.why)}): {who} anew]")
        elif isinstance(event, ToolCalled):
            self.note(f"[calls {event.name}]")
        elif isinstance(event, ToolReturned):
            self.note(f"[{event.name} {'returned' if event.ok else 'failed'}]")
        elif isinstance(event, Done):
            self._line()
            self._name(event.outcome.provider or "", event.outcome.model or "")

    def cancelled(self) -> None:
        """Say so."""
        self.note("[stopped; nothing of it is kept]")

    def failed(self, error: UnderstudyError, status: Exit) -> None:  # noqa: ARG002 - it is for scripts
        """Say why."""
        self._line()
        click.echo(f"understudy: {printable(str(error), keep=chr(10))}", err=True)

    def done(self, what: str, text: str) -> None:  # noqa: ARG002 - it is for scripts
        """Say so."""
        self.note(text)

    def note(self, text: str) -> None:
        """Say it, on a line of its own."""
        self._line()
        click.secho(printable(text), dim=True, color=_colour())

    def end(self) -> None:
        """Leave the prompt's line."""
        click.echo()

    def _name(self, provider: str, model: str) -> None:
        if provider != self._shown:
            self._shown = provider
            self.note(f"[{provider} ({model})]")

    def _line(self) -> None:
        if self._in_text:
            self._in_text = False
            click.echo()


class PlainView:
    """For pipes: whole answers on standard output, who gave them and errors on standard error."""

    def __init__(self) -> None:
        self._shown = ""

    def begin(self, text: str) -> None:
        """Nothing: nobody sits there."""

    def prompt(self) -> None:
        """Nothing."""

    def event(self, event: AgentEvent) -> None:
        """Print the answer when it is whole."""
        if isinstance(event, Done):
            click.echo(printable(event.outcome.result.text, keep="\n\t"))
            if event.outcome.provider != self._shown:
                self._shown = event.outcome.provider or ""
                self.note(f"{self._shown} ({event.outcome.model})")

    def cancelled(self) -> None:
        """Say so."""
        self.note("Stopped; nothing of it is kept.")

    def failed(self, error: UnderstudyError, status: Exit) -> None:
        """Say why."""
        complain(str(error), as_json=False, type_name=type(error).__name__, status=status)

    def done(self, what: str, text: str) -> None:
        """Nothing: it was asked for."""

    def note(self, text: str) -> None:
        """Say it beside the answers."""
        note(text)

    def end(self) -> None:
        """Nothing."""


class JsonView:
    """For programs: a JSON document a line."""

    def begin(self, text: str) -> None:
        """Nothing."""

    def prompt(self) -> None:
        """Nothing."""

    def event(self, event: AgentEvent) -> None:
        """Print it."""
        if isinstance(event, Done):
            self._print(event.type, outcome=event.outcome.model_dump(mode="json"))
        else:
            self._print(event.type, **dataclasses.asdict(event))

    def cancelled(self) -> None:
        """Print it."""
        self._print("cancelled")

    def failed(self, error: UnderstudyError, status: Exit) -> None:
        """Print it; the turn is over."""
        more = {"call_id": error.call_id, "attempts": error.attempts} if isinstance(error, CallError) else {}
        said = {"type": type(error).__name__, "message": str(error), "exit_status": int(status), **more}
        self._print("error", error=said)

    def done(self, what: str, text: str) -> None:  # noqa: ARG002 - it is for people
        """Print it."""
        self._print(what)

    def note(self, text: str) -> None:
        """Print it."""
        self._print("note", text=text)

    def end(self) -> None:
        """Nothing."""

    @staticmethod
    def _print(what: str, **more: Any) -> None:
        plain = (sys.stdout.encoding or "").lower().replace("-", "") != "utf8"
        text = json.dumps({"type": what, **more}, ensure_ascii=plain)
        click.echo(text if plain else text.encode("utf-8", "replace").decode("utf-8"))


def _colour() -> bool | None:
    """Not where NO_COLOR is set; else as the terminal can."""
    return False if os.environ.get("NO_COLOR") else None
