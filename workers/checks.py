"""Whether this worker lives, and whether it can take calls; asked from outside the loop."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from workers.loop import LoopThread

MAX_LAG_S = 20.0
"""A loop that is this late has lost its leases (10 s) twice over: only a new process helps."""

ANSWER_S = 2.0
"""How long Redis and the broker may each take."""

OK = "ok"


@dataclass(frozen=True)
class Verdict:
    """What was found, by name; `ok` or a reason."""

    found: Mapping[str, str]

    @property
    def ok(self) -> bool:
        """Whether all is well."""
        return all(words == OK for words in self.found.values())

    def body(self) -> dict[str, Any]:
        """As it is served."""
        reasons = [f"{name}: {words}" for name, words in self.found.items() if words != OK]
        return {"ok": self.ok, "checks": dict(self.found), "reasons": reasons}


class Checks:
    """Asks the parts of one worker process.

    Args:
        loop: the worker's.
        parts: those that run as long as the worker does, by name.
        ping: asks Redis.
        broker: asks the broker, blocking; an empty text, or why it does not answer.
        consuming: whether the worker takes messages.
    """

    def __init__(
        self,
        loop: LoopThread,
        parts: Mapping[str, asyncio.Task[None]],
        *,
        ping: Callable[[], Awaitable[object]],
        broker: Callable[[], str],
        consuming: Callable[[], bool],
    ) -> None:
        self._loop = loop
        self._parts = parts
        self._ping = ping
        self._broker = broker
        self._consuming = consuming
        self._asked: Future[str] | None = None
        self._thread = ThreadPoolExecutor(1, "understudy-broker-check")

    def alive(self) -> Verdict:
        """Without Redis and the broker: an outage of theirs is nothing that a restart mends."""
        late_s = self._loop.lag_s
        loop = "not running" if not self._loop.running else OK if late_s < MAX_LAG_S else f"{late_s:.0f} s late"
        ended = [name for name, task in self._parts.items() if task.done()]
        return Verdict({"loop": loop, "parts": f"{', '.join(ended)} ended" if ended else OK})

    def ready(self) -> Verdict:
        """Whether calls can be taken: it lives, consumes, and both servers answer."""
        consumer = OK if self._consuming() else "takes no messages: it starts, ends, or has lost the broker"
        found = {"redis": self._redis(), "broker": self._broker_answers(), "consumer": consumer}
        return Verdict({**self.alive().found, **found})

    def close(self) -> None:
        """Ask no more."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _redis(self) -> str:
        try:
            asking = self._loop.submit(self._pinged())
        except RuntimeError:
            return "the loop does not run"
        try:
            asking.result(ANSWER_S + 0.5)
        except Exception as error:  # noqa: BLE001 - whatever it is, the answer is no
            asking.cancel()
            return f"does not answer ({type(error).__name__})"
        return OK

    async def _pinged(self) -> None:
        async with asyncio.timeout(ANSWER_S):
            await self._ping()

    def _broker_answers(self) -> str:
        """Asked in one thread of its own: a broker that hangs holds up this one alone, however often it is asked."""
        if self._asked is None or self._asked.done():
            try:
                self._asked = self._thread.submit(self._broker)
            except RuntimeError:
                return "is not asked any more"
        try:
            why = self._asked.result(ANSWER_S)
        except Exception as error:  # noqa: BLE001 - as above
            why = type(error).__name__
        return f"does not answer ({why})" if why else OK
