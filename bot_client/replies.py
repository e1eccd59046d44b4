"""What the ledger's replies mean to a caller."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from redis.exceptions import RedisError

from bot_client.call import conflict, unknown
from understudy.contracts.call import AnyOutcome, Reason, Status
from understudy.errors import DeadlineExceeded, Unavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bot_client.tracked import Tracked
    from understudy.contracts.kind import Kind
    from understudy.state.ledger import Reply
    from understudy.state.record import Record


@contextmanager
def reaching_redis() -> Iterator[None]:
    """What fails within says that Redis cannot be reached."""
    try:
        yield
    except (RedisError, OSError) as error:
        raise Unavailable(f"Redis cannot be reached ({type(error).__name__}); try it again.") from error


def known(record: Record | None, call_id: str) -> Record:
    """The record, or the error for an id that belongs to no call."""
    if record is None:
        raise unknown(call_id)
    return record


def check_opened(reply: Reply, kind: Kind, call_id: str) -> None:
    """Refuse a reply of `open` that gives the caller no call."""
    if reply.word == "conflict":
        raise conflict(kind)
    if reply.word == "late":
        raise DeadlineExceeded(f"{kind.name} {call_id} ran out of time before it was opened.", call_id, None)


def given_up(tracked: Tracked, detail: str) -> AnyOutcome:
    """The outcome of a call that this client gave up, whatever becomes of it elsewhere."""
    return AnyOutcome(
        call_id=tracked.id, kind=tracked.kind.name, status=Status.CANCELLED, reason=Reason.CANCELLED, detail=detail
    )
