"""When a request to a provider may leave."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from workers.limits import Limits


class Admission(Protocol):
    """Asked when all is ready but the connection, so that whoever holds one of few places asks meanwhile."""

    async def admit(self) -> Limits:
        """Waits until the request may leave, and gives its limits; what it raises ends the request."""

    def release(self) -> None:
        """The answer is complete or will never be; may be called again."""


class Admitted:
    """At once, with these limits."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits

    async def admit(self) -> Limits:
        """The limits."""
        return self._limits

    def release(self) -> None:
        """Nobody waits for it."""
