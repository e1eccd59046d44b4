"""Showing an answer on a chat platform while it is written: few edits, and the last one for sure."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol, Self, TypeAlias

from understudy.errors import UnderstudyError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from types import TracebackType

    from bot_client.events import AgentEvent
    from understudy.contracts.agent_turn import AgentTurnResult
    from understudy.contracts.call import Outcome

logger = logging.getLogger("understudy.client")

EVERY_S = 1.0
"""Telegram and Discord bear about one edit a second in one chat."""

EVERY_CHARS = 20
"""An edit for a word or two is not worth its place in the platform's limits."""

UNHURRIED = 5
"""Text shorter than `every_chars` is shown after so many times `every_s`: the model may be busy with a tool."""

EDIT_S = 20.0
"""An edit that takes longer counts as failed."""

LAST_S = 120.0
"""So long the last state is tried: longer than the waits that platforms usually ask for."""

CANCELLED_S = 2.0
"""So long where the bot's own task was cancelled: it is ending."""

FIRST_WAIT_S, MAX_WAIT_S = 0.5, 15.0
"""Between two tries, doubled each time, where the platform asks for no wait."""

Show: TypeAlias = Callable[[str, bool], Awaitable[object]]
RetryAfter: TypeAlias = Callable[[Exception], float | None]


class Stream(Protocol):
    """What a streamed turn is: that of `agent_turn(..., stream=True)`, or of a conversation's `say`."""

    async def __aenter__(self) -> Self:
        """Begin the turn."""

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Cancel it, unless it has ended."""

    def __aiter__(self) -> AsyncIterator[AgentEvent]:
        """What happens in it."""

    async def result(self) -> Outcome[AgentTurnResult]:
        """Its outcome."""


class NotShown(UnderstudyError):
    """The platform did not take the last state of an answer.

    Args:
        text: what was to be shown.
        outcome: of the turn, where it has one.
    """

    def __init__(self, message: str, text: str = "", outcome: Outcome[AgentTurnResult] | None = None) -> None:
        super().__init__(message, text, outcome)
        self.text = text
        self.outcome = outcome

    def __str__(self) -> str:
        return str(self.args[0])


async def paced(
    stream: Stream,
    show: Show,
    *,
    every_s: float = EVERY_S,
    every_chars: int = EVERY_CHARS,
    retry_after: RetryAfter | None = None,
    last_s: float = LAST_S,
) -> Outcome[AgentTurnResult]:
    """Show a streamed answer with few edits, and its last state in any case.

    An edit that fails costs nothing but that edit. The last state is shown when the answer is whole, and also when the
    turn fails or is cancelled: what has arrived until then is shown before the error is raised. Cancelling the task
    that awaits this cancels the turn.

    Args:
        stream: of the turn; it is used up.
        show: gets the whole text so far, and whether this is the last state. The text is empty where a provider failed
            after some of its text was shown, and the next one has not begun. It is not called before there is text.
        every_s: at least this long between the beginnings of two edits, in seconds.
        every_chars: at least so much new text for an edit; less than that is shown a few `every_s` later.
        retry_after: tells from an exception of `show` how long the platform wants to be left alone, in seconds; None
            if it did not say.
        last_s: how long the last state is tried, in seconds.

    Raises:
        NotShown: the whole answer could not be shown within `last_s`; the error has it.
        CallError: the turn ended without an answer.
    """
    screen = _Screen(show, retry_after or _unsaid, every_s=every_s, every_chars=every_chars)
    showing = asyncio.create_task(screen.keep())
    try:
        async with stream:
            async for event in stream:
                if event.type == "delta":
                    screen.set(screen.text + event.text)
                elif event.type == "restarted":
                    screen.set("")
            outcome = await stream.result()
    except BaseException as error:
        with suppress(NotShown):  # why the turn ended says more
            await screen.end(showing, CANCELLED_S if isinstance(error, asyncio.CancelledError) else last_s, None)
        raise
    await screen.end(showing, last_s, outcome)
    return outcome


class _Screen:
    """What the platform's users see."""

    def __init__(self, show: Show, retry_after: RetryAfter, *, every_s: float, every_chars: int) -> None:
        self.text = ""
        self._show = show
        self._retry_after = retry_after
        self._every_s = every_s
        self._every_chars = every_chars
        self._shown = ""
        self._ever = False
        self._failures = 0
        self._next_at = 0.0
        """Of our own will there is no edit before this; the last one does not wait for it."""
        self._free_at = 0.0
        """The platform wants to hear nothing before this."""
        self._news = asyncio.Event()
        self._over = asyncio.Event()

    def set(self, text: str) -> None:
        """This is the text now."""
        self.text = text
        self._news.set()

    async def keep(self) -> None:
        """Show the text as it changes, until it is over."""
        while not self._over.is_set():
            await self._news.wait()
            self._news.clear()
            await self._pause(max(self._next_at, self._free_at))
            if not self._is_worth_it:
                await self._until_worth_it()
            if not self._over.is_set() and self.text != self._shown:
                began = _now()
                await self._edit(last=False)
                self._next_at = began + self._every_s

    async def end(self, showing: asyncio.Task[None], last_s: float, outcome: Outcome[AgentTurnResult] | None) -> None:
        """Show the last state, after the edit that is on its way: the platform must not get them in another order."""
        self._over.set()
        self._news.set()
        until = _now() + last_s
        try:
            async with asyncio.timeout_at(until):
                await showing
                while self.text or self._ever:
                    await asyncio.sleep(self._free_at - _now())
                    if await self._edit(last=True):
                        return
        except TimeoutError:
            raise NotShown(
                f"The last state of an answer could not be shown within {last_s:g} s, in {self._failures} tries.",
                self.text,
                outcome,
            ) from None
        finally:
            showing.cancel()

    async def _edit(self, *, last: bool) -> bool:
        text, self._ever = self.text, True
        try:
            async with asyncio.timeout(EDIT_S):
                await self._show(text, last)
        except Exception as error:  # noqa: BLE001 - whatever a platform's library raises
            wait_s = self._retry_after(error)
            if wait_s is None:
                wait_s = min(FIRST_WAIT_S * 2**self._failures, MAX_WAIT_S)
            self._failures += 1
            self._free_at = _now() + wait_s
            self._news.set()
            logger.info("edit_failed tries=%d wait_s=%.1f error=%s", self._failures, wait_s, type(error).__name__)
            return False
        self._failures = 0
        self._shown = text
        return True

    @property
    def _is_worth_it(self) -> bool:
        restarted = not self.text.startswith(self._shown)
        return restarted or not self._shown or len(self.text) - len(self._shown) >= self._every_chars

    async def _until_worth_it(self) -> None:
        at = self._next_at + self._every_s * UNHURRIED
        while not self._is_worth_it and not self._over.is_set() and _now() < at:
            with suppress(TimeoutError):
                async with asyncio.timeout_at(at):
                    await self._news.wait()
                    self._news.clear()

    async def _pause(self, until: float) -> None:
        if until > _now():
            with suppress(TimeoutError):
                async with asyncio.timeout_at(until):
                    await self._over.wait()


def _unsaid(_: Exception) -> None:
    return None


def _now() -> float:
    return asyncio.get_running_loop().time()
