"""The handle of one call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeAlias

from pydantic import ValidationError

from understudy.contracts.call import AnyOutcome, Outcome, ResultT, Status
from understudy.contracts.failure import call_error, key_conflict
from understudy.errors import KeyConflict, UnderstudyError, UnknownCall, VersionMismatch

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Generator

    from bot_client.feed import Feed
    from bot_client.interface import Client
    from bot_client.status import CallStatus
    from understudy.contracts.kind import Kind
    from understudy.state.record import Record

End: TypeAlias = AnyOutcome | UnderstudyError
"""How a call ended for this client: its outcome, or why there is none to be had."""


# A call and its client are two halves of one thing, hence SLF001 below.
class Call(Generic[ResultT]):
    """One call that was opened: await it, cancel it, or keep its id and find it again after a restart.

    Awaiting it from several tasks is fine. Cancelling a task that awaits it does not cancel the call.
    """

    def __init__(
        self, client: Client, kind: Kind, call_id: str, ended: asyncio.Future[End], feed: Feed | None = None
    ) -> None:
        self._client = client
        self._kind = kind
        self._id = call_id
        self._ended = ended
        self.feed = feed
        """What a streamed call says before it ends; None of one that was asked for whole."""

    @property
    def id(self) -> str:
        """The id of the call, the same in logs, in the ledger and in `Understudy.call`."""
        return self._id

    @property
    def kind(self) -> str:
        """The name of its kind."""
        return self._kind.name

    def done(self) -> bool:
        """Whether this client knows how the call ended."""
        return self._ended.done()

    async def result(self, timeout_s: float | None = None) -> Outcome[ResultT]:
        """Wait for the outcome.

        Args:
            timeout_s: how long to wait, in seconds; None waits until the call ends, by its deadline + 5 s.

        Raises:
            CallError: the call ended without an answer; one of its subclasses says why.
            TimeoutError: `timeout_s` is over. The call goes on, and can be awaited again.
            Unavailable: the client was closed in the meantime. The call goes on.
        """
        return typed_outcome(self._kind, await self._client._ended(self._id, self._ended, timeout_s))  # noqa: SLF001

    def __await__(self) -> Generator[Any, Any, Outcome[ResultT]]:
        """Wait for the outcome, as `result` does."""
        return self.result().__await__()

    async def cancel(self, *, everyone: bool = False) -> bool:
        """Give the call up; see `Client.cancel`."""
        return await self._client.cancel(self._id, everyone=everyone)

    async def status(self) -> CallStatus:
        """Read where the call is.

        Raises:
            UnknownCall: its record has expired.
            Unavailable: Redis cannot be reached.
        """
        return await self._client._status(self._id)  # noqa: SLF001

    def __repr__(self) -> str:
        return f"<Call {self.kind} {self._id}{' (ended)' if self.done() else ''}>"


def end_of(record: Record) -> End:
    """How a call ended, from its record."""
    try:
        return record.parsed_outcome()
    except ValidationError:  # not repeated: it holds what the record holds
        return VersionMismatch(
            f"The outcome of call {record.id} cannot be read by this version: update the older side."
        )


def typed_outcome(kind: Kind, end: End) -> Outcome[Any]:
    """The outcome with its result as the kind's own model.

    Raises:
        CallError: there is no answer.
        VersionMismatch: the answer is not what this version's contract says.
    """
    if isinstance(end, UnderstudyError):
        # A new one for each who waits: a traceback belongs to one task.
        raise type(end)(*end.args)
    if end.status is not Status.DONE:
        raise call_error(end)
    try:
        result = kind.result.model_validate(end.result)
    except ValidationError:
        result = None
    if result is None:
        raise VersionMismatch(
            f"The answer of call {end.call_id} breaks this version's contract of {kind.name}: update the older side."
        )
    return Outcome[kind.result].model_construct(**{**end.__dict__, "result": result})  # type: ignore[name-defined]


def conflict(kind: Kind) -> KeyConflict:
    """The error for a key that belongs to another request."""
    return key_conflict(kind.name)


def unknown(call_id: str) -> UnknownCall:
    """The error for an id that belongs to no call."""
    return UnknownCall(f"No call has the id {call_id[:40]}, or its record has expired.")
