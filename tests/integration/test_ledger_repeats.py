"""A script whose reply was lost is run once more by the Redis client: it gives the same answer and changes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.support.ledger import Drive
from understudy.contracts.call import Attempt

if TYPE_CHECKING:
    from redis.asyncio import Redis


async def test_open_repeated_gives_the_same_dispatch(redis: Redis) -> None:
    drive = Drive(redis)
    first = await drive.open(token="t")
    assert (await drive.open(token="t")).number("sent") == first.number("sent")


async def test_begin_repeated_gives_the_same_request(redis: Redis) -> None:
    drive = Drive(redis)
    sent = (await drive.open()).number("sent")
    first = await drive.begin(sent=sent, token="t")
    second = await drive.begin(sent=sent, token="t")
    assert (first.values["rid"], first.values["epoch"]) == (second.values["rid"], second.values["epoch"])
    assert [kind for _, kind, _ in await drive.events()] == ["started"]


async def test_a_denied_begin_repeated_is_denied_with_the_same_turn(redis: Redis) -> None:
    drive = Drive(redis)
    sent = (await drive.open()).number("sent")
    await redis.set(drive.keys.paused("ollama"), "429", px=60_000)
    first = await drive.begin(sent=sent, token="t")
    second = await drive.begin(sent=sent, token="t")
    assert (first.word, second.word) == ("denied", "denied")
    assert first.values["turn"] == second.values["turn"]


async def test_again_repeated_grants_one_request_and_reports_once(redis: Redis) -> None:
    drive = Drive(redis)
    sent = (await drive.open()).number("sent")
    run = await drive.begin(sent=sent, token="t")
    report = drive.report(run, "hard", why="reset")
    given: dict[str, Any] = {
        "epoch": run.number("epoch"),
        "token": "t",
        "rid": run.text("rid"),
        "provider": "ollama",
        "model": "m",
    }
    first = await drive.ledger.again("c1", queue="ollama", max_requests=8, report=report, **given)
    second = await drive.ledger.again("c1", queue="ollama", max_requests=8, report=report, **given)
    assert first.word == second.word == "run"
    assert first.values["rid"] == second.values["rid"] != run.values["rid"]
    assert (await drive.breaker())["hard"] == "1"


async def test_hop_repeated_publishes_the_same_message_and_adds_one_attempt(redis: Redis) -> None:
    drive = Drive(redis)
    run = await drive.begin(sent=(await drive.open()).number("sent"))
    report = drive.report(run, "hard", why="refused")
    first = await drive.fail_over(run, report=report)
    second = await drive.fail_over(run, report=report)
    assert first.word == second.word == "publish"
    assert first.number("sent") == second.number("sent")
    record = await drive.ledger.record("c1")
    assert record is not None
    assert len(record.attempts) == 1
    assert (await drive.breaker())["hard"] == "1"


async def test_finish_repeated_is_accepted_and_told_once(redis: Redis) -> None:
    drive = Drive(redis)
    run = await drive.begin(sent=(await drive.open()).number("sent"))
    report = drive.report(run)
    assert (await drive.finish(run, token="f", report=report)).word == "accepted"
    assert (await drive.finish(run, token="f", report=report)).word == "accepted"
    assert [kind for _, kind, _ in await drive.events()] == ["started", "done"]
    assert (await drive.breaker())["ms:moderation"] == "100"


async def test_cancel_repeated_tells_once(redis: Redis) -> None:
    drive = Drive(redis)
    await drive.open()
    assert await drive.ledger.cancel("c1", inbox="box") == "X"
    assert await drive.ledger.cancel("c1", inbox="box") == "X"
    assert [kind for _, kind, _ in await drive.events()] == ["failed"]


async def test_a_call_whose_worker_died_three_times_is_quarantined(redis: Redis) -> None:
    drive = Drive(redis)
    sent = (await drive.open(deadline_ms=120_000)).number("sent")
    for _ in range(3):
        assert (await drive.begin(sent=sent)).word == "run"
        drive.shift += 10_001
    assert (await drive.begin(sent=sent)).word == "drop"
    record = await drive.ledger.record("c1")
    assert record is not None
    assert (record.state, record.reason, record.crashes) == ("F", "quarantined", 3)


async def test_denials_and_hand_backs_do_not_count_towards_quarantine(redis: Redis) -> None:
    drive = Drive(redis)
    sent = (await drive.open(deadline_ms=120_000)).number("sent")
    for i in range(4):
        await redis.set(drive.keys.paused("ollama"), "429", px=60_000)
        denied = await drive.begin(sent=sent)
        assert denied.word == "denied"
        fence: dict[str, Any] = {"epoch": denied.number("epoch"), "turn": denied.number("turn")}
        await redis.delete(drive.keys.paused("ollama"))
        sent = (await drive.ledger.hop("c1", to="ollama", queue="ollama", token=f"d{i}", **fence)).number("sent")
        run = await drive.begin(sent=sent)
        fence = {"epoch": run.number("epoch"), "turn": run.number("turn")}
        back = Attempt(provider="ollama", what="handed_back")
        got = await drive.ledger.hop("c1", to="ollama", queue="ollama", token=f"b{i}", attempt=back, **fence)
        sent = got.number("sent")
    run = await drive.begin(sent=sent)
    assert run.word == "run"
    record = await drive.ledger.record("c1")
    assert record is not None
    assert record.crashes == 0
