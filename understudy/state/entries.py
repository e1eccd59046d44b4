"""What goes into the ledger, and what it lists as due."""

from __future__ import annotations

from dataclasses import dataclass

from understudy.contracts.call import FORMAT_VERSION


@dataclass(frozen=True)
class NewCall:
    """What a client opens; ``deadline`` is absolute, for a call opened before, ``deadline_ms`` counts from now."""

    id: str
    kind: str
    request: str
    rhash: str
    opts: str
    provider: str
    queue: str
    token: str
    inbox: str | None = None
    deadline_ms: int | None = None
    deadline: int | None = None
    trace: str | None = None
    """The call's `traceparent`, where it is traced."""
    v: int = FORMAT_VERSION


@dataclass(frozen=True)
class Adoption:
    """A plain Celery caller's call, taken into the ledger by the worker that begins it."""

    kind: str
    request: str
    rhash: str
    opts: str
    deadline_ms: int
    canvas: str
    v: int = FORMAT_VERSION


@dataclass(frozen=True)
class Due:
    """One call that a reconciler is to look at; `why` is lease, deadline, parked, waiting or tell."""

    id: str
    epoch: int
    turn: int
    why: str
