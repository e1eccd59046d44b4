"""A kind of call: what it asks for, what it answers, how long it may take."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from understudy.contracts.call import CallOptions
from understudy.contracts.fields import number_as_text
from understudy.contracts.rejection import validated

if TYPE_CHECKING:
    from pydantic import BaseModel


@dataclass(frozen=True)
class Kind:
    """One kind of call.

    Args:
        name: of the kind, and of its Celery task.
        request: the model of what a caller sends.
        result: the model of what comes back.
        deadline_s: the time a call has where its caller says nothing.
        degraded: makes the answer that needs no provider; None where no such answer would be honest.
    """

    name: str
    request: type[BaseModel]
    result: type[BaseModel]
    deadline_s: float
    degraded: Callable[[Any], BaseModel] | None = None

    def parse(self, data: object) -> BaseModel:
        """The request, checked.

        Raises:
            InvalidRequest: one sentence that names the field and the limit.
        """
        return validated(self.request, data, self.name)


def parse_options(data: object) -> CallOptions:
    """The options of a call, checked; None gives the defaults.

    Raises:
        InvalidRequest: one sentence that names the option and the limit.
    """
    if isinstance(data, Mapping):
        ids = {name: number_as_text(data[name]) for name in ("user_id", "chat_id") if name in data}
        data = {**data, **ids} if ids else data
    return validated(CallOptions, {} if data is None else data, "call", "the object of options")


def request_hash(kind: str, request: BaseModel) -> str:
    """What makes two requests the same one: the SHA-256 of kind and request as canonical JSON, in hex.

    Fields that hold their default are left out, so that a version which adds an optional field gives the same hash.
    """
    content = {"kind": kind, "request": request.model_dump(mode="json", exclude_defaults=True)}
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(canonical.encode("ascii")).hexdigest()
