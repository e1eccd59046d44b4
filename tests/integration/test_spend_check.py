"""`understudy spend --check` on what the ledger's own scripts wrote, and `--estimate` on files."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.command_line import CommandLine
from tests.support.ledger import Drive
from understudy.estimate import FRAMES
from understudy.pricing import Price
from understudy.settings_money import Budgets
from understudy.state.money import Money
from understudy.state.reconcile import reconcile

if TYPE_CHECKING:
    from pathlib import Path

    from redis.asyncio import Redis

PRICES = '{"m": {"input": 1, "output": 2, "date": "2026-11-01"}}'
MONEY = Money(Price(1_000_000, 2_000_000), Budgets(), max_tokens=100, window=8_000, bytes=500)
"""700 micro-dollars a request."""


@pytest.fixture
def cli(tmp_path: Path, redis_url: str) -> CommandLine:
    return CommandLine(tmp_path, redis_url, UNDERSTUDY_PRICES=PRICES)


@pytest.fixture
def drive(redis: Redis) -> Drive:
    return Drive(redis, "u:")


async def paid(drive: Drive, call_id: str, cost: int | None, **opts: Any) -> None:
    """A call that the paid provider answers; without a cost, its reservation stays open."""
    opened = await drive.open(call_id, provider="openai", queue="openai", opts=json.dumps(opts))
    run = await drive.begin(call_id, provider="openai", sent=opened.number("sent"), money=MONEY)
    assert run.word == "run"
    more: dict[str, Any] = {} if cost is None else {"cost_microusd": cost}
    await drive.finish(run, call_id, report=drive.report(run, provider="openai", **more))


async def test_totals_and_records_agree_after_settled_and_open_requests(cli: CommandLine, drive: Drive) -> None:
    await paid(drive, "c1", 40, user_id="ann", chat_id="-1007")
    await paid(drive, "c2", None, user_id="ann")
    await drive.open("c3")
    ran = await cli.run("spend", "--check", "--json")
    assert ran.status == 0, ran.err
    assert (ran.json["records"], ran.json["total_microusd"], ran.json["sum_microusd"]) == (3, 740, 740)
    assert (ran.json["total_requests"], ran.json["open_microusd"], ran.json["open_requests"]) == (2, 700, 1)
    assert "They agree." in (await cli.run("spend", "--check")).out
    by_user = (await cli.run("spend", "--by", "user", "--json")).json["rows"]
    assert by_user == [{"name": "ann", "microusd": 740, "requests": 2}]
    by_chat = (await cli.run("spend", "--by", "chat", "--json")).json["rows"]
    assert {row["name"]: row["microusd"] for row in by_chat} == {"": 700, "-1007": 40}


async def test_a_total_that_lost_writes_is_told_and_makes_the_status_1(cli: CommandLine, drive: Drive) -> None:
    await paid(drive, "c1", 40)
    day = (await reconcile(drive.redis, drive.keys)).day
    await drive.redis.hset(drive.keys.spend_day(f"{day:%Y%m%d}"), "total", "30")
    ran = await cli.run("spend", "--check")
    assert ran.status == 1
    assert "They differ by -$0.00001 and 0 requests" in ran.out


async def test_what_the_ledger_raised_as_alerts_is_shown_the_latest_first(cli: CommandLine, drive: Drive) -> None:
    tight = replace(MONEY, budgets=Budgets(day=1_000, user_day=700))
    opened = await drive.open("c1", provider="openai", queue="openai", opts='{"user_id":"ann"}')
    await drive.begin("c1", provider="openai", sent=opened.number("sent"), money=tight)
    opened = await drive.open("c2", provider="openai", queue="openai", opts='{"user_id":"bob"}')
    denied = await drive.begin("c2", provider="openai", sent=opened.number("sent"), money=tight)
    assert denied.word == "denied"
    alerts = (await cli.run("spend", "--json")).json["alerts"]
    said = [(alert["budget"], alert["percent"], alert["used"], alert["limit"]) for alert in alerts]
    assert said[0] == ("day", 100, 700, 1_000)
    assert set(said[1:]) == {("day", 50, 700, 1_000), *(("user ann", percent, 700, 700) for percent in (50, 80, 100))}
    assert "budget day" in (await cli.run("spend")).out


async def test_a_request_that_was_settled_without_a_record_counts(drive: Drive) -> None:
    opened = await drive.open("c1", provider="openai", queue="openai")
    run = await drive.begin("c1", provider="openai", sent=opened.number("sent"))
    await drive.redis.delete(drive.keys.call("c1"))
    await drive.ledger.report("c1", drive.report(run, provider="openai", cost_microusd=55))
    found = await reconcile(drive.redis, drive.keys)
    assert (found.agrees, found.sum_microusd, found.sum_requests, found.records) == (True, 55, 1, 0)


@pytest.mark.parametrize("packed", [False, True])
async def test_the_estimate_of_a_file_adds_up_its_rows(cli: CommandLine, tmp_path: Path, *, packed: bool) -> None:
    rows = b'{"id": 1, "text": "hello"}\n{"id": 2, "text": "hello"}\n{"id": 3, "text": ""}\n'
    path = tmp_path / ("m.jsonl.gz" if packed else "m.jsonl")
    path.write_bytes(gzip.compress(rows) if packed else rows)
    ran = await cli.run("spend", "--estimate", str(path), "--json")
    assert ran.status == 0, ran.err
    one = FRAMES["moderation"].bytes + len('{"text":"hello"}') + 2 * 1_024
    assert (ran.json["calls"], ran.json["left_out"], ran.json["most_microusd"]) == (2, 1, 2 * one)
    assert 0 < ran.json["likely_microusd"] < ran.json["most_microusd"] < ran.json["repeated_microusd"]


async def test_the_estimate_reads_standard_input_and_tables(cli: CommandLine, tmp_path: Path) -> None:
    out = (await cli.run("spend", "--estimate", "-", stdin=b'{"id": 1, "text": "hello"}\n')).out
    assert out.startswith("1 call of moderation, if openai (m, $1.00 and $2.00 for a million tokens")
    (tmp_path / "m.tsv").write_text("id\ttext\n1\thello there\n", "utf-8")
    naming = await cli.run("spend", "--estimate", str(tmp_path / "m.tsv"), "--kind", "thread_naming", "--json")
    assert (naming.json["kind"], naming.json["calls"]) == ("thread_naming", 1)
    agent = await cli.run("spend", "--estimate", str(tmp_path / "m.tsv"), "--kind", "agent_turn", "--json")
    assert agent.json["most_microusd"] > 2 * 4_096


async def test_what_the_free_endpoint_answers_is_estimated_at_nothing(cli: CommandLine) -> None:
    cli.env["MODERATION_FALLBACK"] = "endpoint"
    rows = b'{"id": 1, "text": "hello"}\n{"id": 2, "text": "hello", "rules": "No greetings."}\n'
    told = (await cli.run("spend", "--estimate", "-", "--json", stdin=rows)).json
    assert (told["calls"], told["free"]) == (1, 1)
    assert "1 more call would cost nothing" in (await cli.run("spend", "--estimate", "-", stdin=rows)).out


async def test_an_estimate_without_a_price_or_a_file_says_what_to_do(cli: CommandLine) -> None:
    missing = await cli.run("spend", "--estimate", "no-such-file.jsonl")
    assert missing.status == 2
    assert "cannot be read" in missing.err
    cli.env["OPENAI_MODEL_NAME"] = "a-model-that-nobody-sells"
    cli.env["UNDERSTUDY_PRICES"] = ""
    unpriced = await cli.run("spend", "--estimate", "-", stdin=b'{"id": 1, "text": "x"}\n')
    assert unpriced.status == 2
    assert "UNDERSTUDY_PRICES" in unpriced.err
    cli.env["OPENAI_API_KEY"] = ""
    free = await cli.run("spend", "--estimate", "-", stdin=b'{"id": 1, "text": "x"}\n')
    assert "nothing would cost anything" in free.err
