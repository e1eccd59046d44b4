"""What a client can do apart from asking: find and end calls, see and steer the providers, begin and end itself."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from datetime import date, timedelta
    from types import TracebackType

    from bot_client.call import Call
    from bot_client.status import ProviderStatus
    from understudy.state.spend import By, SpendReport


class Operations(ABC):
    """What every client has beside its questions."""

    @abstractmethod
    async def call(self, call_id: str) -> Call[Any]:
        """Get the handle of a call by its id, also one that an earlier run of this bot opened.

        Raises:
            UnknownCall: no call has this id, or its record has expired, a day after its deadline.
            VersionMismatch: it was written by a version that this one cannot read.
            Unavailable: Redis cannot be reached.
        """

    @abstractmethod
    async def cancel(self, call_id: str, *, everyone: bool = False) -> bool:
        """Give a call up. A running attempt hears of it within 2 s.

        Args:
            everyone: end it also where another client waits for it, or an earlier run of this one did; without it,
                only this client leaves, and the call ends when nobody is left.

        Returns:
            Whether the call ended by it: not where it had ended before, or goes on for somebody else.

        Raises:
            UnknownCall: no call has this id.
            Unavailable: Redis cannot be reached.
        """

    @abstractmethod
    async def provider_status(self) -> list[ProviderStatus]:
        """Read the health of every provider, in the order of preference.

        Raises:
            Unavailable: Redis cannot be reached.
        """

    @abstractmethod
    async def force_provider(self, name: str, *, why: str, who: str = "bot", for_s: float | None = None) -> None:
        """Put a provider first for a while, though never past a call's policy; success does not end it.

        Args:
            why, who: shown to operators, 1 to 200 characters each.
            for_s: 1 second to a day; None for the settings' own, 30 minutes.

        Raises:
            InvalidRequest: there is no such provider, or a limit is broken.
            Unavailable: Redis cannot be reached.
        """

    @abstractmethod
    async def unforce(self) -> bool:
        """Take the forced provider back; whether there was one."""

    @abstractmethod
    async def clear_health(self, name: str | None = None) -> None:
        """Take a provider's health for good again, or everybody's: breaker closed, pauses and preference gone.

        Raises:
            InvalidRequest: there is no such provider.
            Unavailable: Redis cannot be reached.
        """

    @abstractmethod
    async def spend(
        self, *, by: By = "day", since: date | timedelta | None = None, until: date | None = None
    ) -> SpendReport:
        """Read what was charged, and how far each budget is used up.

        Args:
            by: what the rows tell apart: day, hour, month, user, chat, kind, model, provider or job.
            since: the first day, or for how many days up to `until`; the last seven days without it. Days are those of
                UTC; their totals are kept for 35 days, those of months for 13 months.
            until: the last day; today without it.

        Raises:
            InvalidRequest: there is no such `by`, or the span ends before it begins.
            Unavailable: Redis cannot be reached.
        """

    @abstractmethod
    async def start(self) -> Self:
        """Begin; `async with` does it. Redis need not be there yet."""

    @abstractmethod
    async def aclose(self) -> None:
        """End; `async with` does it. Calls that are open go on, and are found again by their ids."""

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()
