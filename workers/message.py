"""What a broker may hand to a worker: the checks that decide whether it is a task message at all."""

from __future__ import annotations

import json
from numbers import Real
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_ID_CHARS = 200
MAX_NAME_CHARS = 200


def read_entry(raw: bytes | str) -> dict[str, Any] | None:
    """An entry of a Redis list as kombu's envelope, or None where it is none.

    None also for what kombu could not keep the books on: it needs a delivery tag, an exchange and a routing key.
    """
    try:
        entry = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    if not isinstance(entry, dict):
        return None
    properties = entry.get("properties")
    if not isinstance(properties, dict) or not isinstance(properties.get("delivery_tag"), str):
        return None
    info = properties.get("delivery_info")
    if not isinstance(info, dict) or not all(isinstance(info.get(key), str) for key in ("exchange", "routing_key")):
        return None
    headers = entry.get("headers")
    entry["headers"] = {} if headers is None else headers
    return entry if isinstance(entry["headers"], dict) else None


def task_id(headers: Mapping[str, Any], payload: object = None) -> str | None:
    """The id that a message names, if it can be one."""
    found = headers.get("id")
    if found is None and isinstance(payload, dict):
        found = payload.get("id")
    return found if isinstance(found, str) and 0 < len(found) <= MAX_ID_CHARS else None


def task_name(headers: Mapping[str, Any], payload: object = None) -> str | None:
    """The task that a message names, if it can be one."""
    found = headers.get("task")
    if found is None and isinstance(payload, dict):
        found = payload.get("task")
    return found if isinstance(found, str) and 0 < len(found) <= MAX_NAME_CHARS else None


def fault_of(headers: Mapping[str, Any], payload: object) -> str | None:
    """What makes a decoded message no task message, in one sentence without any of its text; None if nothing does.

    Args:
        payload: `[args, kwargs, embed]`, or in Celery's first protocol a dict with everything in it.
    """
    if isinstance(payload, dict):
        fields: Mapping[str, Any] = {**payload, **headers}
        args, kwargs, embed = payload.get("args", []), payload.get("kwargs", {}), {}
    elif isinstance(payload, list | tuple) and len(payload) == 3:
        fields = headers
        args, kwargs, embed = payload
    else:
        return "The body must be a list of arguments, keyword arguments and options."
    if task_name(fields) is None:
        return f"The field task must be a text of 1 to {MAX_NAME_CHARS} characters."
    if task_id(fields) is None:
        return f"The field id must be a text of 1 to {MAX_ID_CHARS} characters."
    if not isinstance(args, list | tuple):
        return "The arguments must be a list."
    if not isinstance(kwargs, dict):
        return "The keyword arguments must be an object."
    if not isinstance(embed, dict | None):
        return "The options must be an object."
    return _wrong_field(fields)


def _wrong_field(fields: Mapping[str, Any]) -> str | None:
    retries = fields.get("retries")
    if retries is not None and (not isinstance(retries, int) or retries < 0):
        return "The field retries must be a whole number of at least 0."
    for name in ("eta", "expires", "shadow", "root_id", "parent_id", "group"):
        if not isinstance(fields.get(name), str | None):
            return f"The field {name} must be a text."
    limits = fields.get("timelimit")
    if limits is not None and not (
        isinstance(limits, list | tuple) and len(limits) == 2 and all(_is_seconds(limit) for limit in limits)
    ):
        return "The field timelimit must be a list of two numbers of seconds."
    if not isinstance(fields.get("stamped_headers"), list | None) or not isinstance(fields.get("stamps"), dict | None):
        return "The fields stamped_headers and stamps must be a list and an object."
    return None


def _is_seconds(value: object) -> bool:
    return value is None or (isinstance(value, Real) and not isinstance(value, bool) and float(value) >= 0)
