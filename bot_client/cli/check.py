"""One thing that `doctor` looks at, and what it found."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Check:
    """A finding.

    Args:
        ok: false makes `doctor` fail; true with a hint is worth reading.
        detail: what was found; never a secret.
        hint: what to do about it; empty where nothing is to be done.
    """

    name: str
    ok: bool
    detail: str
    hint: str = ""
