"""What was charged, read from the totals that the ledger's scripts keep."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

from understudy.errors import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from redis.asyncio import Redis

    from understudy.settings_money import Budgets
    from understudy.state.keys import Keys

By = Literal["day", "hour", "month", "user", "chat", "kind", "model", "provider", "job"]
BY: tuple[By, ...] = ("day", "hour", "month", "user", "chat", "kind", "model", "provider", "job")
"""What totals can be told apart by. Days and hours are those of UTC, as providers bill them."""

KEPT_DAYS = 35
"""A day's totals are kept for so long, today included; of months only sums remain, for 400 days."""

KEPT_MONTHS = 13

MAX_JOBS = 20
"""Of today, whose budgets are told."""

OTHERS = ""
"""The name of the row for what has no such part: a call without a user, for one."""


@dataclass(frozen=True)
class SpendRow:
    """What one user, kind, day, … cost; a day is named `2026-11-23`, an hour `2026-11-23 14:00`, a month `2026-11`."""

    name: str
    microusd: int
    requests: int
    """Paid requests that were granted, those that failed included."""


@dataclass(frozen=True)
class BudgetUse:
    """How much of a budget is used up.

    Args:
        name: `day`, `month`, `kind <kind>`, `user <id>` (the user who spent most today) or `job <id>`.
        period: the day or month of UTC that it is for, or the job.
    """

    name: str
    period: str
    limit_microusd: int
    used_microusd: int

    @property
    def percent(self) -> float:
        """Of the limit; 100 where the limit is nothing."""
        return 100 * self.used_microusd / self.limit_microusd if self.limit_microusd else 100.0


@dataclass(frozen=True)
class Alert:
    """What was said once: a budget used up to a percentage, or too many paid calls.

    Args:
        at: when, in Unix milliseconds.
        name: `budget`, or `paid_share` (of the calls that were answered within an hour).
        budget: which one: `day`, `month`, `user <id>`, `kind <kind>` or `job <id>`; empty for `paid_share`.
        percent: of the limit, or of the calls.
        used, limit: micro-dollars; for `paid_share` the paid calls and all.
        period: the day (`20261123`), month or hour that it is about.
    """

    at: int
    name: str
    budget: str
    percent: int
    used: int
    limit: int
    period: str


@dataclass(frozen=True)
class SpendReport:
    """What was charged in a span of days, both ends included, told apart by one thing."""

    by: By
    since: date
    until: date
    microusd: int
    requests: int
    rows: tuple[SpendRow, ...]
    budgets: tuple[BudgetUse, ...] = ()
    alerts: tuple[Alert, ...] = ()
    """Of the last seven days, the latest first."""


class Spend:
    """Reads the totals.

    Every method raises ``redis.exceptions.RedisError`` where Redis cannot be reached.
    """

    def __init__(self, redis: Redis, keys: Keys) -> None:
        self.redis = redis
        self.keys = keys

    async def today(self) -> date:
        """The day of UTC by the server's clock, which decides what is charged to which day."""
        seconds, _ = await self.redis.time()
        return datetime.fromtimestamp(int(seconds), UTC).date()

    async def days(self, days: Sequence[date]) -> list[dict[str, int]]:
        """The totals of these days by field, in one round trip; empty where nothing was charged."""
        return await self._totals([self.keys.spend_day(f"{day:%Y%m%d}") for day in days])

    async def months(self, months: Sequence[date]) -> list[dict[str, int]]:
        """The totals of the months that these days lie in."""
        return await self._totals([self.keys.spend_month(f"{month:%Y%m}") for month in months])

    async def job(self, job: str) -> dict[str, int]:
        """The totals of one batch job, whichever days it ran on."""
        (totals,) = await self._totals([self.keys.spend_job(job)])
        return totals

    async def report(
        self,
        *,
        by: By = "day",
        since: date | timedelta | None = None,
        until: date | None = None,
        budgets: Budgets | None = None,
    ) -> SpendReport:
        """What was charged, by one thing.

        Args:
            by: one of `BY`.
            since: the first day, or for how many days up to `until`; the last seven days without it.
            until: the last day; today without it.
            budgets: those whose use is to be told.

        Raises:
            InvalidRequest: there is no such `by`, or the span ends before it begins.
        """
        today = await self.today()
        first, last = span_of(by, since, until, today)
        uses = await self._uses(budgets, today) if budgets else ()
        if by == "month":
            periods = months_between(first, last)
            found = await self.months(periods)
        else:
            periods = [first + timedelta(n) for n in range((last - first).days + 1)]
            found = await self.days(periods)
        report = report_of(by, (first, last), list(zip(periods, found, strict=True)))
        return replace(report, budgets=uses, alerts=await self.alerts())

    async def alerts(self, most: int = 10) -> tuple[Alert, ...]:
        """The latest alerts, the newest first."""
        rows: Any = await self.redis.xrevrange(self.keys.alerts(), count=most)
        return tuple(_alert(row) for _, row in rows)

    async def _uses(self, budgets: Budgets, today: date) -> tuple[BudgetUse, ...]:
        (day,), (month,) = await self.days([today]), await self.months([today])
        jobs = sorted(field[4:] for field in day if field.startswith("job:"))[:MAX_JOBS]
        return (*budget_uses(budgets, day, month, today), *await self._uses_of(jobs))

    async def _uses_of(self, jobs: Sequence[str]) -> list[BudgetUse]:
        """Of the jobs' budgets, those that have one, in one round trip."""
        async with self.redis.pipeline(transaction=False) as pipe:
            for job in jobs:
                pipe.hget(self.keys.job(job), "budget_microusd")
                pipe.hget(self.keys.spend_job(job), "total")
            rows: list[Any] = await pipe.execute()
        found = zip(jobs, rows[::2], rows[1::2], strict=True)
        return [BudgetUse(f"job {job}", job, int(limit), int(float(used or 0))) for job, limit, used in found if limit]

    async def _totals(self, keys: Sequence[str]) -> list[dict[str, int]]:
        async with self.redis.pipeline(transaction=False) as pipe:
            for key in keys:
                pipe.hgetall(key)
            rows: list[Mapping[str, Any]] = await pipe.execute()
        return [{name: int(float(value)) for name, value in row.items()} for row in rows]


def span_of(by: str, since: date | timedelta | None, until: date | None, today: date) -> tuple[date, date]:
    """The first and the last day of a report; no earlier than totals are kept.

    Raises:
        InvalidRequest: there is no such `by`, or the span ends before it begins.
    """
    if by not in BY:
        raise InvalidRequest(f"spend: by must be one of {', '.join(BY)}.")
    last = _day(until) or today
    if isinstance(since, timedelta):
        if since < timedelta(days=1):
            raise InvalidRequest("spend: since must be at least a day.")
        first = last - min(since, timedelta(3660)) + timedelta(1)
    else:
        first = _day(since) or last - timedelta(6)
    if first > last:
        raise InvalidRequest(f"spend: since is {first}; it must not be after {last}, the last day of the report.")
    if by == "month":
        return max(first, (today - timedelta(30 * KEPT_MONTHS)).replace(day=1)), last
    earliest = today - timedelta(KEPT_DAYS - 1)
    return max(first, earliest), max(last, earliest)


def report_of(by: By, span: tuple[date, date], periods: Sequence[tuple[date, Mapping[str, int]]]) -> SpendReport:
    """The report of the totals of these periods: months by month, else days."""
    microusd = sum(totals.get("total", 0) for _, totals in periods)
    requests = sum(totals.get("n:total", 0) for _, totals in periods)
    return SpendReport(by, *span, microusd, requests, tuple(_rows(by, periods)))


def months_between(first: date, last: date) -> list[date]:
    """The first days of the months that a span touches."""
    count = (last.year - first.year) * 12 + last.month - first.month
    return [date(first.year + (first.month - 1 + n) // 12, (first.month - 1 + n) % 12 + 1, 1) for n in range(count + 1)]


def budget_uses(budgets: Budgets, day: Mapping[str, int], month: Mapping[str, int], today: date) -> list[BudgetUse]:
    """How far each budget is used up, by the totals of today and of this month; of users, whoever spent most."""
    this_day, this_month = f"{today:%Y-%m-%d}", f"{today:%Y-%m}"
    uses = []
    if budgets.day is not None:
        uses.append(BudgetUse("day", this_day, budgets.day, day.get("total", 0)))
    if budgets.month is not None:
        uses.append(BudgetUse("month", this_month, budgets.month, month.get("total", 0)))
    for kind, limit in budgets.kind_day.items():
        uses.append(BudgetUse(f"kind {kind}", this_day, limit, day.get(f"kind:{kind}", 0)))
    users = {field[5:]: used for field, used in day.items() if field.startswith("user:")}
    if budgets.user_day is not None and users:
        most = max(users, key=lambda user: users[user])
        uses.append(BudgetUse(f"user {most}", this_day, budgets.user_day, users[most]))
    return uses


def _day(given: date | None) -> date | None:
    return given.astimezone(UTC).date() if isinstance(given, datetime) else given


def _row(name: str, totals: Mapping[str, int], field: str) -> SpendRow:
    return SpendRow(name, totals.get(field, 0), totals.get(f"n:{field}", 0))


def _rows(by: By, periods: Sequence[tuple[date, Mapping[str, int]]]) -> list[SpendRow]:
    if by in ("day", "month"):
        return [_row(str(day)[: 7 if by == "month" else 10], totals, "total") for day, totals in periods if totals]
    if by == "hour":
        hours = [(day, totals, field) for day, totals in periods for field in sorted(totals) if field[:5] == "hour:"]
        return [_row(f"{day} {field[5:]}:00", totals, field) for day, totals, field in hours]
    spent, counted = Counter[str](), Counter[str]()
    for _, totals in periods:
        for field, value in totals.items():
            if field.startswith(f"{by}:"):
                spent[field.partition(":")[2]] += value
            elif field.startswith(f"n:{by}:"):
                counted[field.split(":", 2)[2]] += value
    spent[OTHERS] = sum(totals.get("total", 0) for _, totals in periods) - spent.total()
    counted[OTHERS] = sum(totals.get("n:total", 0) for _, totals in periods) - counted.total()
    rows = [SpendRow(name, spent[name], counted[name]) for name in {**spent, **counted}]
    return sorted(
        (row for row in rows if row.microusd or row.requests), key=lambda row: (-row.microusd, -row.requests, row.name)
    )


def _alert(row: Mapping[str, str]) -> Alert:
    def number(name: str) -> int:
        return int(float(row.get(name) or 0))

    budget = " ".join(part for part in (row.get("budget", ""), row.get("of", "")) if part)
    return Alert(
        at=number("at"),
        name=row.get("name", ""),
        budget=budget,
        percent=number("percent"),
        used=number("used"),
        limit=number("limit"),
        period=row.get("period", ""),
    )
