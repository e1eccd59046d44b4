"""What an operator asks for, from the body of a request to one sentence about what was done."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from understudy.errors import InvalidRequest, UnderstudyError, UnknownCall
from understudy.state.operations import MAX_S
from understudy.state.record import CANCELLED, FAILED, STATES
from understudy.words import count, span, words

if TYPE_CHECKING:
    from understudy.state.operations import Operations

MAX_BODY = 10_000
"""Bytes: no action needs more."""

NEEDS: dict[str, str] = {
    "force": "provider",
    "unforce": "",
    "clear": "",
    "pause": "queue",
    "resume": "queue",
    "cancel": "call",
    "retry": "call",
    "retry_cause": "reason",
}
"""Each action, and the field without which it means nothing."""

TEXTS = ("provider", "queue", "call", "reason", "why")
NUMBERS = {"for_s": MAX_S, "limit": 10_000, "before_ms": 2**53}
"""The largest of each; the least is 1."""

WHOLE = ("limit", "before_ms")

MAX_TEXT = 500


class NotPossible(UnderstudyError):
    """The call is in no state for the action."""


@dataclass(frozen=True)
class Action:
    """One action; which fields count depends on its name.

    Args:
        for_s: of `force` and `pause`.
        limit: of `retry_cause`: so many calls at most.
        before_ms: of `retry_cause`: those alone that had ended by then, in Redis milliseconds.
    """

    name: str
    why: str
    provider: str | None = None
    queue: str | None = None
    call: str | None = None
    reason: str | None = None
    for_s: float | None = None
    limit: int | None = None
    before_ms: int | None = None

    @property
    def target(self) -> str:
        """What the action means: a provider, a queue, a call or a reason; empty where it needs none."""
        return str(getattr(self, NEEDS[self.name])) if NEEDS[self.name] else ""


def read_action(body: bytes) -> Action:
    """The action that a body of JSON asks for.

    Raises:
        InvalidRequest: it asks for none; the sentence names the field.
    """
    try:
        given = json.loads(body)
    except (ValueError, RecursionError):
        given = None
    if not isinstance(given, dict):
        raise InvalidRequest("The body must be a JSON object.")
    name = given.pop("action", None)
    if not isinstance(name, str) or name not in NEEDS:
        raise InvalidRequest(f"action must be one of {', '.join(NEEDS)}.")
    if unknown := sorted(set(given) - {*TEXTS, *NUMBERS}):
        known = ", ".join((*TEXTS, *NUMBERS))
        raise InvalidRequest(f"{name}: there is no field {unknown[0][:40]!r}; there are {known}.")
    fields = {field: _value(name, field, value) for field, value in given.items() if value is not None}
    for field in filter(None, ("why", NEEDS[name])):
        if not fields.get(field):
            raise InvalidRequest(f"{name}: {field} is missing.")
    return Action(name, **fields)


def _value(action: str, field: str, value: object) -> Any:
    if field in TEXTS:
        if not isinstance(value, str) or len(value) > MAX_TEXT:
            raise InvalidRequest(f"{action}: {field} must be a text of at most {MAX_TEXT} characters.")
        return value.strip()
    kinds = (int,) if field in WHOLE else (int, float)
    if isinstance(value, bool) or not isinstance(value, kinds) or not 1 <= value <= NUMBERS[field]:
        noun = "whole number" if field in WHOLE else "number"
        raise InvalidRequest(f"{action}: {field} must be a {noun} from 1 to {NUMBERS[field]:,}.")
    return value


async def take(action: Action, operations: Operations, who: str, default_s: float) -> str:
    """Take an action; what was done, in one sentence.

    Args:
        who: takes it.
        default_s: for how long `force` and `pause` hold, where the action does not say.

    Raises:
        InvalidRequest: a name or a limit is wrong.
        UnknownCall: no call has this id, or its record has expired.
        NotPossible: the call is in no state for it.
    """
    by: dict[str, Any] = {"who": who, "why": action.why}
    for_s = action.for_s or default_s
    lasts = f"for {span(for_s * 1000)}"
    match action.name:
        case "force":
            await operations.force(action.target, **by, for_s=for_s)
            return f"{action.target} is forced {lasts}."
        case "unforce":
            return "No provider is forced any more." if await operations.unforce(**by) else "No provider was forced."
        case "clear":
            await operations.clear(action.provider or None, **by)
            return f"{action.provider or 'Each provider'} counts as healthy again."
        case "pause":
            await operations.pause(action.target, **by, for_s=for_s)
            return f"The queue {action.target} is paused {lasts}."
        case "resume":
            was = await operations.resume(action.target, **by)
            return f"The queue {action.target} {'goes on' if was else 'was not paused'}."
        case "cancel":
            return await _cancel(action.target, operations, by)
        case "retry":
            return await _retry(action.target, operations, by)
        case _:
            return await _retry_cause(action, operations, by)


async def _cancel(call_id: str, operations: Operations, by: dict[str, Any]) -> str:
    letter = await operations.cancel(call_id, **by)
    if letter != CANCELLED:
        raise NotPossible(f"The call {call_id} cannot be cancelled: it is {STATES.get(letter, 'over')}.")
    return f"The call {call_id} is cancelled."


async def _retry(call_id: str, operations: Operations, by: dict[str, Any]) -> str:
    if await operations.rerun(call_id, **by):
        return f"The call {call_id} runs again."
    record = await operations.ledger.record(call_id)
    if record is None:
        raise UnknownCall("No call has this id, or its record has expired.")
    why = f"it is {STATES[record.state]}"
    if record.state in (FAILED, CANCELLED):
        why = "Celery revoked its task, or has yet to hear how it ended; in that case try again in a moment"
    raise NotPossible(f"The call {call_id} cannot be run again: {why}.")


async def _retry_cause(action: Action, operations: Operations, by: dict[str, Any]) -> str:
    number = await operations.rerun_cause(action.target, **by, limit=action.limit, before_ms=action.before_ms)
    if not number:
        raise UnknownCall(f"No call is left that failed for this reason: {words(action.target)}.")
    return f"{count(number, 'call')} run{'s' if number == 1 else ''} again."
