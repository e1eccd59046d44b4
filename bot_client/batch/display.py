"""How far a batch job is, shown while it runs: drawn on a terminal, a line a minute elsewhere, events for machines."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Protocol

from rich.console import Console
from rich.live import Live

from bot_client.batch.picture import picture, sentence, summary
from understudy.ending import end_tasks

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from bot_client.batch.progress import Progress

REDRAW_S = 0.25
LINE_S = 60.0
EVENT_S = 1.0


class Display(Protocol):
    """Shows one run of a job.

    `update` may be called as often as there is news: it shows no more than its reader can take in.
    """

    def start(self, progress: Progress) -> None:
        """The run begins."""

    def update(self, progress: Progress) -> None:
        """There is news."""

    def note(self, text: str) -> None:
        """Say a sentence beside the figures, such as what it will cost."""

    def end(self, progress: Progress) -> None:
        """The run is over."""


class Drawing:
    """For people at a terminal: bars and figures, redrawn in place, which the summary replaces."""

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self._console = console
        self._clock = clock
        self._live: Live | None = None
        self._drawn = 0.0

    def start(self, progress: Progress) -> None:
        """Begin to draw."""
        self._live = Live(picture(progress), console=self._console, auto_refresh=False, transient=True)
        self._live.start(refresh=True)
        self._drawn = self._clock()

    def update(self, progress: Progress) -> None:
        """Draw it anew, a few times a second."""
        if self._live is not None and self._clock() - self._drawn >= REDRAW_S:
            self._live.update(picture(progress), refresh=True)
            self._drawn = self._clock()

    def note(self, text: str) -> None:
        """Print a sentence above the drawing."""
        self._console.print(text)

    def end(self, progress: Progress) -> None:
        """Put the summary in the place of the drawing."""
        if self._live is not None:
            self._live.stop()
            self._live = None
        self._console.print(summary(progress))


class Lines:
    """For logs: a line a minute, and one whenever the job's state changes."""

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self._console = console
        self._clock = clock
        self._said = 0.0
        self._state = ("", "")

    def start(self, progress: Progress) -> None:
        """Say the first line."""
        self._say(progress)

    def update(self, progress: Progress) -> None:
        """Say a line where there is one to say."""
        if (progress.state, progress.why) != self._state or self._clock() - self._said >= LINE_S:
            self._say(progress)

    def note(self, text: str) -> None:
        """Say a sentence."""
        self._console.print(text)

    def end(self, progress: Progress) -> None:
        """Say how it ended."""
        self._console.print(summary(progress))

    def _say(self, progress: Progress) -> None:
        self._said, self._state = self._clock(), (progress.state, progress.why)
        self._console.print(sentence(progress))


class Events:
    """For machines: one JSON object a line, each with `event` and, but for notes, all counts.

    `started`, then `progress` each second and at each change of state, `note` with its `text`, at last `ended`.
    """

    def __init__(self, write: Callable[[str], Any], clock: Callable[[], float] = time.monotonic) -> None:
        self._write = write
        self._clock = clock
        self._told = 0.0
        self._state = ("", "")

    def start(self, progress: Progress) -> None:
        """Tell that it began."""
        self._tell("started", progress)

    def update(self, progress: Progress) -> None:
        """Tell how far it is."""
        if (progress.state, progress.why) != self._state or self._clock() - self._told >= EVENT_S:
            self._tell("progress", progress)

    def note(self, text: str) -> None:
        """Tell a sentence."""
        self._event({"event": "note", "text": text})

    def end(self, progress: Progress) -> None:
        """Tell how it ended."""
        self._tell("ended", progress)

    def _tell(self, event: str, progress: Progress) -> None:
        self._told, self._state = self._clock(), (progress.state, progress.why)
        self._event({"event": event, **progress.as_dict()})

    def _event(self, event: dict[str, Any]) -> None:
        self._write(json.dumps(event, ensure_ascii=True, separators=(",", ":")) + "\n")


def display(*, as_json: bool) -> Display:
    """The display for this process: events on standard output, or figures on standard error."""
    if as_json:
        return Events(_out)
    console = Console(stderr=True, markup=False, emoji=False, highlight=False)
    if console.is_terminal and not console.is_dumb_terminal:
        return Drawing(console)
    console.soft_wrap = True
    return Lines(console)


@asynccontextmanager
async def shown(show: Display, progress: Progress) -> AsyncIterator[None]:
    """Show a run while it goes on, also while it waits."""

    async def watch() -> None:
        while True:
            await asyncio.sleep(REDRAW_S)
            show.update(progress)

    show.start(progress)
    watching = asyncio.create_task(watch())
    try:
        yield
    finally:
        await end_tasks((watching,))
        show.end(progress)


def _out(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()
