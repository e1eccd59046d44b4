"""What the command line says with its exit status: the one table of it."""

from __future__ import annotations

from enum import IntEnum

from understudy.errors import (
    CallError,
    DeadlineExceeded,
    InvalidRequest,
    SettingsError,
    Unavailable,
    UnknownCall,
    UnknownJob,
)


class Exit(IntEnum):
    """An exit status."""

    OK = 0
    FAILED = 1
    USAGE = 2
    DEADLINE = 3
    UNAVAILABLE = 4
    UNKNOWN_CALL = 5
    INTERRUPTED = 130


MEANINGS: dict[Exit, str] = {
    Exit.OK: "it worked",
    Exit.FAILED: "the call ended without an answer, or a check failed",
    Exit.USAGE: "wrong usage, a wrong setting or an invalid request; nothing was queued",
    Exit.DEADLINE: "the call's time ran out",
    Exit.UNAVAILABLE: "Redis or the broker cannot be reached",
    Exit.UNKNOWN_CALL: "no call or job has this id, or its record has expired",
    Exit.INTERRUPTED: "interrupted with Ctrl-C; a call that was waited for is cancelled",
}

_BY_ERROR: tuple[tuple[type[Exception], Exit], ...] = (
    (SettingsError, Exit.USAGE),
    (InvalidRequest, Exit.USAGE),
    (UnknownCall, Exit.UNKNOWN_CALL),
    (UnknownJob, Exit.UNKNOWN_CALL),
    (Unavailable, Exit.UNAVAILABLE),
    (DeadlineExceeded, Exit.DEADLINE),
    (CallError, Exit.FAILED),
)


def exit_of(error: BaseException) -> Exit:
    """The status for an error: that of the first class in the table that it is one of."""
    return next((status for kind, status in _BY_ERROR if isinstance(error, kind)), Exit.FAILED)


def exit_table() -> str:
    """The table as `--help` shows it."""
    rows = (f"  {status.value:<4} {meaning}" for status, meaning in MEANINGS.items())
    return "\b\nExit statuses:\n" + "\n".join(rows)
