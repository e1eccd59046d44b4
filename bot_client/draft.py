"""A call as it goes into the ledger: from what a caller asks, or from the record of one that was open before."""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING

from bot_client.policy import deadline_ms
from understudy.contracts import KINDS
from understudy.contracts.ids import call_id_for, new_call_id
from understudy.contracts.kind import request_hash
from understudy.errors import InvalidRequest, VersionMismatch
from understudy.state.ledger import NewCall

if TYPE_CHECKING:
    from pydantic import BaseModel

    from understudy.contracts.call import CallOptions
    from understudy.contracts.kind import Kind
    from understudy.state.record import Record


def new_call(kind: Kind, request: BaseModel, text: str, options: CallOptions, inbox: str, trace: str = "") -> NewCall:
    """A call that is asked for the first time; its provider is chosen when it is opened.

    Args:
        text: the request as JSON, without the fields that hold their default.
        trace: its `traceparent`, where it is traced.
    """
    return NewCall(
        id=call_id_for(kind.name, options.key) if options.key else new_call_id(),
        kind=kind.name,
        request=text,
        rhash=request_hash(kind.name, request),
        opts=options.model_dump_json(exclude_defaults=True),
        provider="",
        queue="",
        token=str(uuid.uuid4()),
        inbox=inbox,
        deadline_ms=deadline_ms(kind, options),
        trace=trace or None,
    )


def recorded_call(record: Record, inbox: str) -> tuple[Kind, NewCall]:
    """A call that the ledger holds, as it would have to be opened again should Redis lose it.

    Raises:
        VersionMismatch: its kind or its request is not what this version knows.
    """
    kind = KINDS.get(record.kind)
    if kind is None:
        raise VersionMismatch(f"Call {record.id} is of a kind that this version does not know: update it.")
    return kind, NewCall(
        id=record.id,
        kind=record.kind,
        request=record.request,
        rhash=request_hash(record.kind, _request(kind, record)),
        opts=record.options.model_dump_json(exclude_defaults=True),
        provider="",
        queue="",
        token=str(uuid.uuid4()),
        inbox=inbox,
        deadline=record.deadline,
        trace=record.trace or None,
    )


def _request(kind: Kind, record: Record) -> BaseModel:
    try:
        return kind.parse(json.loads(record.request))
    except InvalidRequest as error:
        raise VersionMismatch(
            f"The request of call {record.id} breaks this version's contract of {kind.name}: update the older side."
        ) from error
