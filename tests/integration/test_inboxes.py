"""What the ledger's scripts put into the clients' inboxes, and what a worker is told of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.support.ledger import Drive
from understudy.state.ledger import Ledger

if TYPE_CHECKING:
    from redis.asyncio import Redis


async def driven(redis: Redis) -> Drive:
    return await Drive(redis).ticking()


async def test_an_inbox_keeps_as_many_events_as_the_settings_say(redis: Redis) -> None:
    drive = await driven(redis)
    drive.ledger = Ledger(redis, drive.keys, shift_ms=lambda: drive.shift, inbox_maxlen=100)
    for number in range(200):
        await drive.open(f"c{number}")
        await drive.finish(await drive.begin(f"c{number}"), f"c{number}")
    # Redis drops whole nodes of 100 entries
    assert 100 <= await redis.xlen(drive.keys.inbox("box")) <= 200


async def test_the_first_attempt_starts_without_a_reason_and_the_next_one_says_why(redis: Redis) -> None:
    drive = await driven(redis)
    await drive.open()
    await drive.fail_over(await drive.begin())
    await drive.begin(provider="openai")
    assert [data for _, _, data in await drive.events()] == [
        {"provider": "ollama", "model": "m", "why": ""},
        {"provider": "openai", "model": "m", "why": "refused"},
    ]


async def test_a_worker_is_told_who_waits_also_when_it_asks_twice(redis: Redis) -> None:
    drive = await driven(redis)
    await drive.open()
    await drive.open(inbox="other")
    token = drive.token()
    replies = [await drive.begin(token=token) for _ in range(2)]
    assert [reply.text("inboxes").split() for reply in replies] == [["box", "other"]] * 2
