"""How one execution of a task ends, as the Celery thread acts on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from understudy.contracts.call import AnyOutcome


@dataclass(frozen=True)
class Ended:
    """The call ended here, or had ended and Celery was not told."""

    outcome: AnyOutcome
    plain: bool
    waiters: frozenset[str] = frozenset()
    """Tasks of Celery that share the call by its key, and are to get the outcome."""


@dataclass(frozen=True)
class Publish:
    """The call goes on elsewhere: its message is to be published, now that the ledger knows."""

    kind: str
    call_id: str
    queue: str
    sent: int
    canvas: str = ""
    task_id: str = ""
    """Celery's, of one of the tasks that share a call by its key; else the call's id is the task's."""
    trace: str = ""
    """The call's `traceparent`."""


@dataclass(frozen=True)
class Dropped:
    """Nothing is left to do for this message: somebody else has the call, or it waits."""

    why: str


End = Ended | Publish | Dropped
