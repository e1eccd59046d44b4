"""The ids of calls."""

from __future__ import annotations

import uuid

_NAMESPACE = uuid.UUID("d305e48c-8eff-48cf-9ae4-b560136f7858")
"""Drawn once for this project. Never changed: a key would then give another id."""


def new_call_id() -> str:
    """A fresh id that no other call has."""
    return str(uuid.uuid4())


def call_id_for(kind: str, key: str) -> str:
    """The id that belongs to a caller's key: the same for the same kind and key, each time and everywhere."""
    return str(uuid.uuid5(_NAMESPACE, f"{kind}\n{key}"))
