"""`understudy spend` on totals in a real Redis."""

from __future__ import annotations

import csv
import io
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.command_line import CommandLine
from tests.support.spent import charge
from understudy.state.keys import Keys
from understudy.state.spend import Spend

if TYPE_CHECKING:
    from pathlib import Path

    from redis.asyncio import Redis


@pytest.fixture
def cli(tmp_path: Path, redis_url: str) -> CommandLine:
    return CommandLine(
        tmp_path, redis_url, UNDERSTUDY_BUDGET_DAY_USD="0.5", UNDERSTUDY_BUDGET_KIND_DAY_USD='{"agent_turn": 0.2}'
    )


@pytest.fixture
def spend(redis: Redis) -> Spend:
    return Spend(redis, Keys("u:"))


async def test_the_document_tells_rows_budgets_and_alerts(cli: CommandLine, redis: Redis, spend: Spend) -> None:
    today = await spend.today()
    await charge(redis, today, 300_000, user="ann", kind="agent_turn", job="night")
    await charge(redis, today, 100_000, user="bob", kind="moderation")
    await redis.hset("u:job:night", mapping={"budget_microusd": "1000000"})
    await redis.hset(spend.keys.spend_job("night"), mapping={"total": "300000", "n:total": "1"})
    said: Any = {"name": "budget", "at": "1790000000000", "budget": "user", "of": "ann", "percent": "80"}
    await redis.xadd(spend.keys.alerts(), said | {"used": "400000", "limit": "500000", "period": "20261123"})
    ran = await cli.run("spend", "--by", "user", "--json")
    assert ran.status == 0
    assert (ran.json["microusd"], ran.json["requests"], ran.json["by"]) == (400_000, 2, "user")
    assert ran.json["rows"] == [
        {"name": "ann", "microusd": 300_000, "requests": 1},
        {"name": "bob", "microusd": 100_000, "requests": 1},
    ]
    assert [(use["name"], use["used_microusd"], use["percent"]) for use in ran.json["budgets"]] == [
        ("day", 400_000, 80.0),
        ("kind agent_turn", 300_000, 150.0),
        ("job night", 300_000, 30.0),
    ]
    (alert,) = ran.json["alerts"]
    assert (alert["budget"], alert["percent"], alert["limit"]) == ("user ann", 80, 500_000)


async def test_people_read_amounts_shares_and_how_full_a_budget_is(
    cli: CommandLine, redis: Redis, spend: Spend
) -> None:
    today = await spend.today()
    await charge(redis, today, 300_000, kind="agent_turn", user="ann")
    await charge(redis, today, 100_000, kind="moderation")
    out = (await cli.run("spend", "--by", "kind")).out
    assert out.splitlines()[0] == f"$0.40 for 2 paid requests, {today - timedelta(6)} to {today} (UTC)"
    row = next(line.split() for line in out.splitlines() if line.startswith("agent turn"))
    assert row[2:5] == ["$0.300000", "1", "75.0"]
    budget = next(line for line in out.splitlines() if line.startswith("day"))
    assert "$0.40" in budget
    assert "$0.50" in budget
    assert "80.0 %" in budget
    assert "################...." in budget
    by_user = (await cli.run("spend", "--by", "user", "--since", "1d")).out
    assert "(none)" in by_user
    assert by_user.splitlines()[0].endswith(f"2 paid requests, {today} (UTC)")


async def test_csv_has_a_header_and_exact_dollars(cli: CommandLine, redis: Redis, spend: Spend) -> None:
    today = await spend.today()
    await charge(redis, today, 1_234_567, chat="-100,7")
    rows = list(csv.reader(io.StringIO((await cli.run("spend", "--by", "chat", "--csv")).out)))
    assert rows == [["chat", "usd", "requests"], ["-100,7", "1.234567", "1"]]


async def test_nothing_charged_is_said_in_one_line(cli: CommandLine) -> None:
    ran = await cli.run("spend", "--since", "2026-11-01", "--until", "2026-11-01")
    assert ran.status == 0
    assert ran.out.startswith("$0.00 for 0 paid requests")


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (("--since", "soon"), "a day such as 2026-11-01, or a number of days such as 7d"),
        (("--since", "3h"), "a number of days such as 7d"),
        (("--until", "7d"), "a day such as 2026-11-01"),
        (("--by", "colour"), "'day', 'hour', 'month'"),
        (("--csv", "--json"), "--csv and --json do not go together"),
        (("--check", "--csv"), "--estimate, --check and --csv do not go together"),
        (("--since", "2026-11-03", "--until", "2026-11-01"), "it must not be after 2026-11-01"),
    ],
)
async def test_wrong_usage_is_refused_in_a_sentence(cli: CommandLine, args: tuple[str, ...], says: str) -> None:
    ran = await cli.run("spend", *args)
    assert ran.status == 2
    assert says in ran.err + ran.out
    assert "Traceback" not in ran.err
