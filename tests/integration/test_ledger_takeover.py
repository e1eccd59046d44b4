"""Who may take a call over, and when: after an outage, after a reply that came late, after a denial."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.support.ledger import Drive
from tests.support.reconciling import Reconciling

if TYPE_CHECKING:
    from redis.asyncio import Redis


async def test_after_an_outage_a_redelivered_message_leaves_the_call_to_its_owner(redis: Redis) -> None:
    drive = await Drive(redis).ticking()
    sent = (await drive.open()).number("sent")
    run = await drive.begin(sent=sent)
    drive.shift = 15_000  # nobody could tick or renew: the ledger was away
    assert (await drive.begin(sent=sent)).values["why"] == "quiet"
    assert (await drive.ledger.due("first", Drive.QUEUES))[0] == "quiet"
    assert (await drive.begin(sent=sent)).values["why"] == "quiet"
    assert await drive.ledger.renew([("c1", run.number("epoch"), run.text("rid"), "ollama", "m")]) == ["ok"]
    assert (await drive.finish(run)).word == "accepted"


async def test_an_owner_that_does_not_come_back_is_followed_after_the_quiet_time(redis: Redis) -> None:
    drive = await Drive(redis).ticking()
    sent = (await drive.open()).number("sent")
    await drive.begin(sent=sent)
    drive.shift = 15_000
    assert (await drive.ledger.due("first", Drive.QUEUES))[0] == "quiet"
    assert await drive.later(10_100) == [("c1", "lease")]
    assert (await drive.begin(sent=sent)).word == "run"


async def test_a_begin_that_is_repeated_late_gives_a_whole_lease(redis: Redis) -> None:
    drive = await Drive(redis).ticking()
    sent = (await drive.open()).number("sent")
    await redis.hset(drive.keys.breaker("ollama", "m"), mapping={"state": "half_open", "gen": "1"})
    first = await drive.begin(sent=sent, token="t")
    drive.shift = 9_000
    assert (await drive.begin(sent=sent, token="t")).text("rid") == first.text("rid")
    record = await drive.ledger.record("c1")
    assert record is not None
    assert record.lease >= await drive.now() + 9_000
    permit = await redis.zscore(drive.keys.breaker("ollama", "m") + ":permits", f"c1:{first.text('rid')}")
    assert permit is not None
    assert permit >= await drive.now() + 9_000
    drive.shift = 10_500
    assert (await drive.begin(sent=sent)).values["why"] == "running"


async def test_a_denial_by_an_open_breaker_does_not_bind_the_call_for_the_whole_cooldown(redis: Redis) -> None:
    """The prober of a free provider may end the cooldown at any time, and the breaker itself says how it is now."""
    drive = await Drive(redis).ticking()
    sent = (await drive.open()).number("sent")
    far = await drive.now() + 250_000
    await redis.hset(drive.keys.breaker("ollama", "m"), mapping={"state": "open", "gen": "1", "until": str(far)})
    assert (await drive.begin(sent=sent)).word == "denied"
    record = await drive.ledger.record("c1")
    assert record is not None
    assert await drive.now() < record.not_before["ollama"] <= await drive.now() + 1_000


async def test_a_late_call_whose_kind_has_a_degraded_answer_is_left_to_the_reconciler(redis: Redis) -> None:
    drive = await Drive(redis).ticking()
    parts = Reconciling(drive)
    opened = await drive.open(kind="thread_naming", request='{"first_message":"Where do we meet tomorrow?"}')
    drive.shift = 30_001
    late = await drive.begin(sent=opened.number("sent"), degraded=True)
    assert (late.word, late.values["why"]) == ("drop", "late")
    await parts.tick()
    record = await drive.ledger.record("c1")
    assert record is not None
    outcome = record.parsed_outcome()
    assert (outcome.status, outcome.degraded, outcome.reason) == ("done", True, "no_workers")
    assert [kind for _, kind, _ in await drive.events()] == ["done"]
