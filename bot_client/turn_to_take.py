"""One turn of a conversation, from its place to its end."""

from __future__ import annotations

import asyncio
import logging
import uuid
from contextlib import suppress
from typing import TYPE_CHECKING

from pydantic import ValidationError
from redis.exceptions import RedisError

from bot_client.turn_taking import TurnCall
from understudy.contracts.agent_turn import MAX_CONVERSATION, MAX_MESSAGES, AgentTurnResult
from understudy.contracts.call import Status
from understudy.contracts.ids import call_id_for
from understudy.ending import end_tasks
from understudy.errors import (
    CallCancelled,
    CallError,
    DeadlineExceeded,
    InvalidRequest,
    Unavailable,
    UnderstudyError,
    UnknownCall,
    VersionMismatch,
)
from understudy.history import completed, open_calls, trimmed
from understudy.state.conversation import KEEP_S, Place, Turn, messages_of, oldest_kept

if TYPE_CHECKING:
    from bot_client.call import Call, End
    from bot_client.turn_taking import Asked, TurnTaking
    from understudy.history import Message

logger = logging.getLogger("understudy.client")

RETRY_S = (0.1, 0.3, 1.0, 2.0, 4.0)
"""Pauses of a turn's end that Redis does not take; afterwards the next turn finds out what became of it."""


class TurnToTake:
    """One turn, from its place to its end."""

    def __init__(self, taking: TurnTaking, asked: Asked) -> None:
        self._taking = taking
        self._asked = asked
        self._ticket = str(uuid.uuid4())
        self._own_key = f"turn:{self._ticket}"
        self._turn = Turn(call_id_for("agent_turn", self._own_key), asked.said, asked.key)
        self._ends_at = asyncio.get_running_loop().time() + asked.deadline_s
        self._withdrawn = False
        self._asking: asyncio.Task[Place] | None = None
        self._keeping: asyncio.Task[None] | None = None
        self._history: tuple[Turn, ...] = ()

    def withdraw(self) -> None:
        """Wait no more."""
        self._withdrawn = True
        self._taking.store.wake(self._ticket)

    async def begin(self) -> Call[AgentTurnResult]:
        """Wait for the turns before it, and open the call.

        Raises:
            DeadlineExceeded: they took all its time.
            InvalidRequest: the request breaks its contract; nothing was queued.
            Unavailable: Redis cannot be reached.
        """
        unknown = False
        try:
            place, waited = await self._come()
            self._keeping = self._taking.in_background(self._keep())
            self._history = place.history
            if again := self._asked_before():
                call = await self._taking.client.call(again)
                self._end(None, unknown=False)
                return call
            request = {**self._asked.request, "messages": self._messages()}
            options = {**self._asked.options, "key": self._own_key}
            if waited:
                options["deadline_s"] = self._left_s()
            unknown = True
            call = await self._taking.client._submit("agent_turn", request, options)  # noqa: SLF001 - a part of it
        except BaseException as error:
            self._end(None, unknown=unknown and not isinstance(error, InvalidRequest))
            raise
        over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        call._ended.add_done_callback(lambda ended: self._ended(ended, over))  # noqa: SLF001 - a part of it
        return TurnCall(call, over)

    async def _come(self) -> tuple[Place, bool]:
        """Its place at the head, and whether it had to wait for it."""
        store, waited = self._taking.store, False
        store.expect(self._ticket)
        async with self._taking.order(self._asked.conversation):
            self._check_wanted()
            self._left_s()
            place = await self._take()
        while place.word != "go":
            waited = True
            if place.open is not None:
                place = await self._take((place.open.call, await self._found_out(place.open)))
                continue
            await store.wait(self._ticket, min(KEEP_S, self._left_s()))
            self._check_wanted()
            with suppress(Unavailable):  # Redis may be back before the time is over
                place = await self._take()
        return place, waited

    async def _take(self, settled: tuple[str, Turn | None] | None = None) -> Place:
        # Shielded: what gives the place up again must not overtake it.
        asked = self._asked
        self._asking = self._taking.in_background(
            self._taking.trip(
                lambda store: store.take(
                    asked.conversation, self._ticket, self._turn, settled=settled, limits=asked.limits
                )
            )
        )
        try:
            return await asyncio.shield(self._asking)
        except (RedisError, OSError) as error:
            raise Unavailable(
                f"Redis cannot be reached ({type(error).__name__}): the turn was not asked for; try it again."
            ) from error

    async def _found_out(self, turn: Turn) -> Turn | None:
        """How the turn before it ended, whose client died or lost sight of it: with its answer, or None without one."""
        left_s = self._left_s()
        keeping = self._taking.in_background(self._keep())
        try:
            call = await self._taking.client.call(turn.call)
            return turn.answered((await call.result(left_s)).result)
        except (UnknownCall, VersionMismatch):
            return None
        except CallError as error:
            if error.args[2] is not None:
                return None
            raise Unavailable(
                "The turn was not asked for: the ledger does not say how the turn before it ended; try it again."
            ) from error
        except TimeoutError:
            raise self._late() from None
        finally:
            await end_tasks([keeping])

    def _check_wanted(self) -> None:
        if self._withdrawn:
            raise CallCancelled("The turn was given up while it waited; ask again if it is still wanted.")
        if self._taking.closed:
            raise Unavailable("The turn was not asked for: this client was closed while it waited.")

    def _left_s(self) -> float:
        left_s = self._ends_at - asyncio.get_running_loop().time()
        if left_s <= 0:
            raise self._late()
        return left_s

    def _late(self) -> DeadlineExceeded:
        return DeadlineExceeded(
            f"agent_turn was not asked for: the earlier turns of its conversation took all of its"
            f" {self._asked.deadline_s:g} s; give it a longer deadline_s, or ask when the turn before it is answered."
        )

    def _asked_before(self) -> str | None:
        key = self._asked.key
        return next((turn.call for turn in reversed(self._history) if key and turn.key == key), None)

    def _messages(self) -> list[Message]:
        said = list(self._asked.said)
        history = self._asked.limits.trim(messages_of(self._history)) if self._history else []
        if said[0]["role"] == "tool" and {result["tool_call_id"] for result in said} - open_calls(history):
            raise InvalidRequest(
                "conversation: results names a tool call that the latest answer of the conversation did not make."
            )
        return trimmed(completed([*history, *said]), max_messages=MAX_MESSAGES, max_chars=MAX_CONVERSATION)

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(KEEP_S)
            with suppress(RedisError, OSError):
                await self._taking.trip(lambda store: store.keep(self._asked.conversation, self._ticket))

    def _ended(self, ended: asyncio.Future[End], over: asyncio.Future[None]) -> None:
        """The call has ended for this client: the history is written, once."""
        end = ended.result()
        turn, unknown = None, isinstance(end, UnderstudyError)
        if not isinstance(end, UnderstudyError) and end.status is Status.DONE:
            try:
                turn = self._turn.answered(AgentTurnResult.model_validate(end.result))
            except ValidationError:  # of another version
                unknown = True
        task = self._end(turn, unknown=unknown)
        task.add_done_callback(lambda _: None if over.done() else over.set_result(None))

    def _end(self, turn: Turn | None, *, unknown: bool) -> asyncio.Task[None]:
        if self._keeping is not None:
            self._keeping.cancel()
        self._taking.store.forget(self._ticket)
        return self._taking.in_background(self._tell_end(turn, unknown=unknown))

    async def _tell_end(self, turn: Turn | None, *, unknown: bool) -> None:
        limits = self._asked.limits
        first = oldest_kept([*self._history, turn], limits) if turn else None
        if self._asking is not None:
            await asyncio.wait([self._asking])
        for pause_s in (*RETRY_S, None):
            try:
                await self._taking.trip(
                    lambda store: store.end(
                        self._asked.conversation,
                        self._ticket,
                        self._turn.call,
                        turn=turn,
                        first=first,
                        unknown=unknown,
                        ttl_s=limits.ttl_s,
                    )
                )
            except (RedisError, OSError) as error:
                if pause_s is None:
                    logger.warning("turn_end_failed call=%s error=%s", self._turn.call, type(error).__name__)
                    return
                await asyncio.sleep(pause_s)
            else:
                return
