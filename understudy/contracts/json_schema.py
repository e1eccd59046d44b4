"""A check of JSON schemas: enough of the standard to find what a provider would refuse, without a library for it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

TYPES = ("object", "array", "string", "number", "integer", "boolean", "null")
MAX_DEPTH = 20
"""Of schemas in each other; tools that people write have three or four."""

MAX_PART = 60
"""Characters of a property's name that a sentence repeats."""


def schema_fault(schema: object) -> str | None:
    """What is wrong with a JSON schema of an object, as the rest of a sentence that begins with the field's name.

    Keywords that only describe, and those this check does not know, are left alone.
    """
    if not isinstance(schema, Mapping):
        return "must be an object"
    if schema.get("type") != "object":
        return 'is not the schema of an object: its type must be "object"'
    fault = _schema(schema, "", schema, 0)
    return f"is not JSON schema: {fault}" if fault else None


def _schema(schema: object, path: str, root: Mapping[str, Any], depth: int) -> str | None:
    if isinstance(schema, bool) and path:
        return None
    if not isinstance(schema, Mapping):
        return f"{path or 'it'} must be an object or true or false"
    if depth > MAX_DEPTH:
        return f"it is nested deeper than {MAX_DEPTH} schemas"
    for keyword, value in schema.items():
        if not isinstance(keyword, str):
            return f"{path or 'it'} has a keyword that is not text"
        where = f"{path}.{keyword}" if path else keyword
        if keyword in _SCHEMAS:
            fault = _schema(value, where, root, depth + 1)
        elif keyword in _MAPS:
            fault = _map(value, where, root, depth)
        elif keyword in _LISTS:
            fault = _list(value, where, root, depth)
        elif keyword == "$ref":
            fault = None if _resolves(value, root) else f"{where} leads nowhere within the schema"
        else:
            fault = _value(keyword, value, where)
        if fault:
            return fault
    return _required(schema, path)


def _map(value: object, where: str, root: Mapping[str, Any], depth: int) -> str | None:
    if not isinstance(value, Mapping):
        return f"{where} must be an object"
    for name, part in value.items():
        if not isinstance(name, str):
            return f"{where} has a name that is not text"
        if fault := _schema(part, f"{where}.{name[:MAX_PART]}", root, depth + 1):
            return fault
    return None


def _list(value: object, where: str, root: Mapping[str, Any], depth: int) -> str | None:
    if not isinstance(value, list | tuple) or not value:
        return f"{where} must be a list of at least one schema"
    faults = (_schema(part, f"{where}[{index}]", root, depth + 1) for index, part in enumerate(value))
    return next((fault for fault in faults if fault), None)


def _value(keyword: str, value: object, where: str) -> str | None:
    check = _VALUES.get(keyword)
    return f"{where} must be {check[1]}" if check and not check[0](value) else None


def _required(schema: Mapping[str, Any], path: str) -> str | None:
    """A required property that is not there can never be given where no others are allowed."""
    properties = schema.get("properties", {})
    if schema.get("additionalProperties") is not False or "patternProperties" in schema:
        return None
    missing = next((name for name in schema.get("required", ()) if name not in properties), None)
    where = f"{path}.required" if path else "required"
    return f"{where} names {missing[:MAX_PART]}, which is none of the properties" if missing is not None else None


def _resolves(value: object, root: Mapping[str, Any]) -> bool:
    if not isinstance(value, str) or not (value == "#" or value.startswith("#/")):
        return False
    node: Any = root
    for part in value.split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        if not isinstance(node, Mapping) or name not in node:
            return False
        node = node[name]
    return isinstance(node, Mapping | bool)


def _is_type(value: object) -> bool:
    names = list(value) if isinstance(value, list | tuple) else [value]
    return bool(names) and all(isinstance(name, str) and name in TYPES for name in names) and _is_unique(names)


def _is_unique(values: list[Any]) -> bool:
    return all(value not in values[:index] for index, value in enumerate(values))


def _is_names(value: object) -> bool:
    return isinstance(value, list | tuple) and all(isinstance(name, str) for name in value) and _is_unique(list(value))


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_positive(value: object) -> bool:
    return isinstance(value, int | float) and _is_number(value) and value > 0


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_text(value: object) -> bool:
    return isinstance(value, str)


_SCHEMAS = frozenset(
    {"items", "additionalProperties", "not", "contains", "propertyNames", "if", "then", "else", "unevaluatedProperties"}
)
"""Keywords whose value is a schema."""

_MAPS = frozenset({"properties", "patternProperties", "$defs", "definitions", "dependentSchemas"})
_LISTS = frozenset({"anyOf", "oneOf", "allOf", "prefixItems"})

_NUMBER = (_is_number, "a number")
_COUNT = (_is_count, "a whole number of at least 0")
_TEXT = (_is_text, "text")
_VALUES: dict[str, tuple[Callable[[object], bool], str]] = {
    "type": (_is_type, f"one of {', '.join(TYPES)}, or a list of them"),
    "required": (_is_names, "a list of names, each once"),
    "enum": (lambda value: isinstance(value, list | tuple) and bool(value), "a list of at least one value"),
    "minimum": _NUMBER,
    "maximum": _NUMBER,
    "exclusiveMinimum": _NUMBER,
    "exclusiveMaximum": _NUMBER,
    "multipleOf": (_is_positive, "a number above 0"),
    "minLength": _COUNT,
    "maxLength": _COUNT,
    "minItems": _COUNT,
    "maxItems": _COUNT,
    "minProperties": _COUNT,
    "maxProperties": _COUNT,
    "uniqueItems": (lambda value: isinstance(value, bool), "true or false"),
    "pattern": _TEXT,
    "format": _TEXT,
    "title": _TEXT,
    "description": _TEXT,
}
