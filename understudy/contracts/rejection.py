"""What is said to the sender of bad input: one sentence that names the field and the limit, never what was written."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence, Sized
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from understudy.errors import InvalidRequest

ModelT = TypeVar("ModelT", bound=BaseModel)

_FIELD_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,39}")

_SENTENCES = {
    "missing": "{field} is missing",
    "extra_forbidden": "{field} is not a known field{known}",
    "invalid_key": "the name of every field must be text",
    "string_too_long": "{field} has {length:,} characters; at most {max_length:,} are allowed",
    "string_too_short": "{field} has {length:,} characters; at least {min_length:,} is needed",
    "string_pattern_mismatch": "{field} must match {pattern}",
    "string_unicode": "{field} holds half of a surrogate pair, which is no valid text",
    "too_long": "{field} has {length:,} entries; at most {max_length:,} are allowed",
    "too_short": "{field} has {length:,} entries; at least {min_length:,} is needed",
    "greater_than": "{field} is {number}; it must be more than {gt:,.10g}",
    "greater_than_equal": "{field} is {number}; at least {ge:,.10g} is needed",
    "less_than": "{field} is {number}; it must be less than {lt:,.10g}",
    "less_than_equal": "{field} is {number}; at most {le:,.10g} is allowed",
    "literal_error": "{field} must be one of {expected}",
    "enum": "{field} must be one of {expected}",
    "value_error": "{field} {error}",
}
"""By pydantic's type of error; filled from its limits and the value's type and size, never from the value itself."""

_TYPES = {
    "string": "text",
    "int": "a whole number",
    "float": "a number",
    "finite": "a number",
    "bool": "true or false",
    "list": "a list",
    "tuple": "a list",
    "dict": "an object",
    "model": "an object",
}
"""By how the type of error begins, where it is none of the above: `int_type`, `int_parsing`, `int_from_float`."""

_NUMBER_LIMIT = 10**12
"""Above this a number is not repeated: it says no more than "too large"."""


def validated(model: type[ModelT], data: object, subject: str, whole: str = "the request") -> ModelT:
    """The data as `model`, or one sentence about the first thing that is wrong with it.

    Args:
        model: the contract.
        data: anything at all, as it came out of JSON or from a caller's hands.
        subject: what the sentence begins with, such as the name of a kind.
        whole: what the data as a whole is called in the sentence.

    Raises:
        InvalidRequest: the data breaks the contract.
    """
    if isinstance(data, BaseModel):
        # Also an instance is checked: `model_copy(update=...)` validates nothing.
        data = data.model_dump(warnings=False) if isinstance(data, model) else type(data)
    try:
        return model.model_validate(data)
    except ValidationError as error:
        sentence = f"{subject}: {_complaint(error.errors(include_url=False)[0], model, whole)}."
    # Raised outside the handler: the validation error holds the user's text and must not travel as the context.
    raise InvalidRequest(sentence)


def json_type(value: object) -> str:
    """What a JSON value is called in a sentence."""
    if value is None:
        return "null"
    names = {bool: "true or false", str: "text", int: "a number", float: "a number"}
    if name := names.get(type(value)):
        return name
    if isinstance(value, Mapping):
        return "an object"
    return "a list" if isinstance(value, Sequence) else "something else"


def _complaint(error: Any, model: type[BaseModel], whole: str) -> str:
    value = error["input"]
    field = _path(error["loc"]) or whole
    if sentence := _SENTENCES.get(error["type"]):
        words = {
            "field": field,
            "known": f"; known are {', '.join(model.model_fields)}" if len(error["loc"]) == 1 else "",
            "length": len(value) if isinstance(value, Sized) else 0,
            "number": _number(value),
        }
        return sentence.format_map(words | error.get("ctx", {})).strip()
    expected = _TYPES.get(error["type"].partition("_")[0])
    return f"{field} must be {expected}, not {json_type(value)}" if expected else f"{field} is not valid"


def _path(loc: tuple[str | int, ...]) -> str:
    path = ""
    for part in loc:
        if isinstance(part, int):
            path += f"[{part}]"
        elif _FIELD_NAME.fullmatch(part):
            path += f".{part}" if path else part
        else:
            # A name that no contract could have may be anything, also what a user wrote.
            path += " a field with an odd name"
    return path.strip()


def _number(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value):
        return "not a number"
    if abs(value) > _NUMBER_LIMIT:
        return "too large" if value > 0 else "too small"
    return f"{value:,.10g}"
