"""A message as it arrived: which call it is for, and what a plain Celery caller sent with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from understudy import tracing
from understudy.contracts import KINDS
from understudy.contracts.ids import call_id_for
from understudy.contracts.kind import parse_options, request_hash
from understudy.errors import InvalidRequest
from understudy.queues import canvas_of
from understudy.state.ledger import Adoption
from understudy.state.record import check_version

if TYPE_CHECKING:
    from understudy.contracts.call import CallOptions
    from understudy.providers import Provider


MAX_ID = 100
"""Characters of a call's id."""


@dataclass(frozen=True)
class Arrival:
    """One message, checked; `adopt` is there for a plain caller's."""

    call_id: str
    kind: str
    queue: str
    provider: Provider
    sent: int
    token: str
    adopt: Adoption | None
    task: str | None = None
    """Celery's id of a plain caller's task whose call has a key; else the call's id is the task's."""
    trace: str = ""
    """The `traceparent` that the message carries."""


def read_arrival(
    task_request: dict[str, Any],
    kind: str,
    request: object,
    call: object,
    dispatch: object,
    *,
    providers: dict[str, Provider],
    token: str,
) -> Arrival:
    """Check a message.

    Args:
        task_request: the fields of Celery's request: id, delivery_info, links, chain, chord, group, traceparent.
        request, call: of a plain caller, as JSON types.
        dispatch: of our own messages.
        providers: by name.

    Raises:
        InvalidRequest: the message breaks the contract, or its queue belongs to no provider.
        VersionMismatch: it was sent by a version whose format this one does not know.
    """
    queue = str((task_request.get("delivery_info") or {}).get("routing_key") or "")
    provider = providers.get(queue.removesuffix(".batch"))
    if provider is None:
        raise InvalidRequest(f"{kind}: its queue belongs to no provider; the queues are {', '.join(providers)}.")
    call_id, sent, adopt, task = str(task_request["id"]), 0, None, None
    if dispatch is not None:
        if not isinstance(dispatch, dict) or not _is_time(dispatch.get("sent")):
            raise InvalidRequest(f"{kind}: dispatch must be an object with v and sent, as bot_client publishes it.")
        check_version(dispatch.get("v"), f"The message of call {call_id}")
        sent = dispatch["sent"]
        if dispatch.get("id") is not None:
            if not isinstance(dispatch["id"], str) or not 0 < len(dispatch["id"]) <= MAX_ID:
                raise InvalidRequest(f"{kind}: dispatch.id must be a text of 1 to {MAX_ID} characters.")
            call_id, task = dispatch["id"], call_id
    if request is not None:
        options, adopt = _adoption(task_request, kind, request, call)
        if options.key is not None:
            call_id, task = call_id_for(kind, options.key), str(task_request["id"])
    elif dispatch is None:
        raise InvalidRequest(f"{kind}: request is missing; it is the object that the contract describes.")
    return Arrival(call_id, kind, queue, provider, sent, token, adopt, task, tracing.header_of(task_request))


def _adoption(task_request: dict[str, Any], kind: str, request: object, call: object) -> tuple[CallOptions, Adoption]:
    parsed = KINDS[kind].parse(request)
    options: CallOptions = parse_options(call)
    deadline_s = options.deadline_s or KINDS[kind].deadline_s
    return options, Adoption(
        kind=kind,
        request=parsed.model_dump_json(exclude_none=True),
        rhash=request_hash(kind, parsed),
        opts=options.model_dump_json(exclude_defaults=True),
        deadline_ms=int(deadline_s * 1000),
        canvas=canvas_of(task_request),
    )


def _is_time(value: object) -> bool:
    """Whether it can be milliseconds of a clock, exact in the scripts' numbers."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**53
