"""Every error that Understudy raises.

::

    UnderstudyError
    ├── SettingsError          a setting is wrong or missing; the process does not start
    ├── InvalidRequest         the request breaks its contract; nothing was queued
    │   └── KeyConflict        the key already belongs to another request
    ├── UnknownCall            no call has this id, or its record has expired
    ├── UnknownJob             no batch job has this id, or its record has expired
    ├── JobStopped             a batch job was cancelled, or another run took it on
    ├── VersionMismatch        the record was written by a version this one cannot read
    ├── Unavailable            Redis or the broker cannot be reached; nothing is known to be queued
    └── CallError              the call was accepted and ended without an answer
        ├── DeadlineExceeded   its time ran out
        ├── AllProvidersFailed every provider that was allowed to answer failed
        ├── BudgetExceeded     a budget denied the paid provider, and no free one answered
        ├── NoWorkers          nobody consumed any queue it could run on
        ├── CallCancelled      the bot or an operator gave it up
        └── Quarantined        its worker died three times

All arguments are positional, so that an error survives Celery's JSON result backend, which rebuilds it from ``.args``.
"""

from __future__ import annotations

from typing import Any


class UnderstudyError(Exception):
    """The base of every error here."""


class SettingsError(UnderstudyError):
    """A setting is wrong or missing."""


class InvalidRequest(UnderstudyError, ValueError):
    """The request breaks its contract; the message names the field and the limit."""


class KeyConflict(InvalidRequest):
    """The key already belongs to another request."""


class UnknownCall(UnderstudyError, LookupError):
    """No call has this id, or its record has expired."""


class UnknownJob(UnderstudyError, LookupError):
    """No batch job has this id, or its record has expired."""


class JobStopped(UnderstudyError):
    """A batch job was cancelled by an operator, or another run of it took over; started again, it goes on.

    Args:
        message: what happened, in one sentence.
        state: of this run now: `cancelled` or `stopped`.
    """

    def __init__(self, message: str, state: str = "stopped") -> None:
        super().__init__(message, state)

    def __str__(self) -> str:
        return str(self.args[0])

    @property
    def state(self) -> str:
        """Of this run now."""
        return str(self.args[1])


class VersionMismatch(UnderstudyError):
    """The record or message was written by a version this one cannot read."""


class Unavailable(UnderstudyError):
    """Redis or the broker cannot be reached."""


class CallError(UnderstudyError):
    """The call was accepted and ended without an answer.

    Args:
        message: what happened, in one sentence.
        call_id: the id of the call.
        outcome: the whole outcome as JSON types, attempts included; None where the ledger was silent.
    """

    def __init__(self, message: str, call_id: str = "", outcome: dict[str, Any] | None = None) -> None:
        super().__init__(message, call_id, outcome)

    def __str__(self) -> str:
        return str(self.args[0])

    @property
    def call_id(self) -> str:
        """The id of the call."""
        return str(self.args[1])

    @property
    def outcome(self) -> dict[str, Any] | None:
        """The outcome as JSON types, or None where it is unknown."""
        return self.args[2] if len(self.args) > 2 else None

    @property
    def attempts(self) -> list[dict[str, Any]]:
        """Every attempt that was made, oldest first."""
        return list((self.outcome or {}).get("attempts", []))


class DeadlineExceeded(CallError):
    """The call's time ran out."""


class AllProvidersFailed(CallError):
    """Every provider that was allowed to answer failed."""


class BudgetExceeded(CallError):
    """A budget denied the paid provider, and no free one answered."""


class NoWorkers(CallError):
    """Nobody consumed any queue the call could run on."""


class CallCancelled(CallError):
    """The bot or an operator gave the call up."""


class Quarantined(CallError):
    """The call's worker died three times."""
