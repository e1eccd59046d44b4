"""What an operator reads and steers through the real client: health, forced providers, money."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING

from bot_client.interface import Client
from bot_client.policy import check_note, known_provider
from bot_client.replies import reaching_redis
from bot_client.status import ProviderStatus, provider_statuses
from understudy.settings_money import Budgets

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date, timedelta

    from bot_client.opener import Opener
    from understudy.providers import Provider
    from understudy.settings import Settings
    from understudy.state.health import Health
    from understudy.state.operations import Operations
    from understudy.state.spend import By, Spend, SpendReport

BOT = {"who": "bot", "why": "not said"}
"""Who acts, in the log of what operators did, where a bot does."""


class Steering(Client):
    """The part of the client that asks for no work."""

    _settings: Settings
    _providers: Sequence[Provider]
    _health: Health
    _operations: Operations
    _opener: Opener
    _spend: Spend

    async def provider_status(self) -> list[ProviderStatus]:
        """Read the health of every provider, in the order of preference."""
        self._require_started()
        with reaching_redis():
            seen = await self._health.snapshot()
        # what the caller is shown, the next call goes by
        self._opener.forget_health()
        return provider_statuses(self._providers, seen)

    async def force_provider(self, name: str, *, why: str, who: str = "bot", for_s: float | None = None) -> None:
        """Put a provider first for a while; see `Client.force_provider`."""
        self._require_started()
        provider = known_provider(self._providers, name, "force")
        check_note("why", why)
        check_note("who", who)
        seconds = self._settings.understudy_forced_s if for_s is None else for_s
        with reaching_redis():
            await self._operations.force(provider.name, who=who, why=why, for_s=seconds)
        self._opener.forget_health()

    async def unforce(self) -> bool:
        """Take the forced provider back; whether there was one."""
        self._require_started()
        with reaching_redis():
            was_forced = await self._operations.unforce(**BOT)
        self._opener.forget_health()
        return was_forced

    async def clear_health(self, name: str | None = None) -> None:
        """Take a provider's health for good again, or everybody's; see `Client.clear_health`."""
        self._require_started()
        chosen = None if name is None else known_provider(self._providers, name, "clear").name
        with reaching_redis():
            await self._operations.clear(chosen, **BOT)
        self._opener.forget_health()

    async def spend(
        self, *, by: By = "day", since: date | timedelta | None = None, until: date | None = None
    ) -> SpendReport:
        """Read what was charged, and how far each budget is used up; see `Client.spend`."""
        self._require_started()
        with reaching_redis():
            return await self._spend.report(by=by, since=since, until=until, budgets=Budgets.of(self._settings))

    @abstractmethod
    def _require_started(self) -> None:
        """Refuse to work before `start` and after `aclose`."""
