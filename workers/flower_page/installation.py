"""The installation that the page shows: its Redis, read and steered on tornado's own loop."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any

from redis.exceptions import AuthenticationError, RedisError, ResponseError

from understudy.errors import SettingsError, Unavailable, UnknownCall
from understudy.providers import providers_from
from understudy.redis_client import now_ms, redis_from
from understudy.settings_money import Budgets
from understudy.state.audit import Audit
from understudy.state.ended import Ended
from understudy.state.fallbacks import Fallbacks
from understudy.state.health import Health
from understudy.state.jobs import Jobs
from understudy.state.keys import Keys
from understudy.state.ledger import Ledger
from understudy.state.operations import Operations
from understudy.state.record import CANCELLED, FAILED
from understudy.state.spend import Spend
from understudy.state.stats import Stats
from workers.flower_page import call_view, view
from workers.flower_page.acting import take

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from redis.asyncio import Redis

    from understudy.settings import Settings
    from understudy.state.record import Record
    from workers.flower_page.acting import Action
    from workers.flower_page.visitor import Visitor

SETTING = "understudy"
"""Flower's settings hold the installation by this name."""

CONNECT_S = 0.8
"""Two tries of it fit into `READ_S`."""

REPLY_S = 1.6
READ_S = 1.8
"""The page, which asks a second after each answer, says within three seconds that Redis is away."""

MANY_S = 20.0
"""For what is counted over thousands of calls; `REPLY_S` bounds each of its commands."""

FALLBACKS, JOBS, ENTRIES, CALLS = 50, 50, 100, 100
"""So many of each are shown."""

UNKNOWN = "No call has this id, or its record has expired (a day after its deadline)."


class Installation:
    """Reads what the page shows, and does what operators ask for.

    Every coroutine raises ``Unavailable`` where Redis does not do its part in time; nothing connects before the first.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.keys = Keys(settings.understudy_prefix)
        self.providers = providers_from(settings)

    @cached_property
    def redis(self) -> Redis:
        """A client of its own, made on the loop that uses it."""
        return redis_from(self.settings, reply_s=REPLY_S, socket_connect_timeout=CONNECT_S, max_connections=32)

    @cached_property
    def ledger(self) -> Ledger:
        """The ledger of calls."""
        return Ledger(self.redis, self.keys, inbox_maxlen=self.settings.understudy_inbox_maxlen)

    @cached_property
    def operations(self) -> Operations:
        """What operators may do."""
        return Operations(self.redis, self.keys, self.providers, self.settings)

    async def overview(self, visitor: Visitor) -> dict[str, Any]:
        """What the page shows at first."""
        async with _answers():
            (snapshot, stats, spent), (fallbacks, causes, jobs, audit) = await asyncio.gather(
                asyncio.gather(
                    Health(self.redis, self.keys, self.providers).snapshot(),
                    Stats(self.redis, self.keys).last_quarter(self.providers),
                    self._spent(),
                ),
                asyncio.gather(
                    Fallbacks(self.redis, self.keys).recent(FALLBACKS),
                    Ended(self.redis, self.keys, self.ledger).causes(),
                    Jobs(self.redis, self.keys).latest(JOBS),
                    Audit(self.redis, self.keys).entries(ENTRIES),
                ),
            )
        seen = view.Seen(snapshot, stats, spent, fallbacks, causes, jobs, audit)
        return view.overview(seen, self.providers, visitor)

    async def call(self, call_id: str) -> dict[str, Any]:
        """One call.

        Raises:
            UnknownCall: no call has this id, or its record has expired.
        """
        async with _answers():
            record = await self.ledger.record(call_id)
            if record is None:
                raise UnknownCall(UNKNOWN)
            snapshot, rank, worst = await asyncio.gather(
                Health(self.redis, self.keys, self.providers).snapshot(),
                self._rank(record),
                self._worst([call_id] if record.state in (FAILED, CANCELLED) else []),
            )
        return call_view.call(record, snapshot, self.providers, rank) | worst

    async def cause(self, reason: str, *, cost: bool = True) -> dict[str, Any]:
        """The calls that ended for a reason.

        Args:
            cost: with what running all of them again could cost at most, for which all their requests are read.
        """
        ended = Ended(self.redis, self.keys, self.ledger)
        async with _answers(MANY_S):
            before_ms = await now_ms(self.redis)
            ids = await ended.ids(reason, before_ms)
            calls, worst = await asyncio.gather(ended.of(reason, CALLS), self._worst(ids if cost else []))
        return view.cause(reason, calls, len(ids)) | {"before_ms": before_ms} | (worst if cost else {})

    async def act(self, action: Action, who: str) -> str:
        """Take an action; what was done, in one sentence."""
        # One for thousands of calls takes its time; its commands do not.
        async with _answers(None):
            return await take(action, self.operations, who, self.settings.understudy_forced_s)

    async def _rank(self, record: Record) -> int | None:
        rank: Any = await self.redis.zrank(self.keys.waiting(record.queue), record.id)
        return None if rank is None else int(rank)

    async def _worst(self, ids: list[str]) -> dict[str, int]:
        """What running these calls again could cost at most; empty where the price of a paid provider is not known."""
        try:
            return {"worst_microusd": await self.operations.worst_cost(ids)}
        except SettingsError:
            return {}

    async def _spent(self) -> view.Spent:
        spend = Spend(self.redis, self.keys)
        today = await spend.today()
        report, (month,) = await asyncio.gather(
            spend.report(by="day", since=today, until=today, budgets=Budgets.of(self.settings)), spend.months([today])
        )
        return view.Spent(report.microusd, month.get("total", 0), report.budgets)


@asynccontextmanager
async def _answers(limit_s: float | None = READ_S) -> AsyncIterator[None]:
    """Redis answers what is asked inside.

    Raises:
        Unavailable: it did not, with what is wrong in words of ours: its own may quote what was sent.
    """
    try:
        async with asyncio.timeout(limit_s):
            yield
    except AuthenticationError:
        sentence = "Redis refused the user or password."
    except ResponseError as error:
        code = str(error).partition(" ")[0]
        sentence = f"Redis refused a command ({code if code.isascii() and code.isupper() else type(error).__name__})."
    except (RedisError, OSError) as error:
        # TimeoutError is one of the latter.
        in_time = "did not answer in time" if "Timeout" in type(error).__name__ else "cannot be reached"
        sentence = f"Redis {in_time}."
    else:
        return
    raise Unavailable(sentence)
