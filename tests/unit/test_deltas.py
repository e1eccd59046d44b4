"""The outbox of a worker: what streamed calls say, and in which entries it goes."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Self, cast

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError

from tests.support.polling import aeventually
from understudy.state.keys import Keys
from workers import deltas
from workers.deltas import Deltas

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from workers.run import Run


class Inboxes:
    """Redis as far as the outbox uses it; while it is away, commands fail."""

    def __init__(self) -> None:
        self.entries: list[tuple[str, list[list[Any]]]] = []
        self.away = False
        self.refusing = False
        self.loses_replies = 0

    def pipeline(self, *, transaction: bool) -> Pipeline:
        assert not transaction
        return Pipeline(self)

    def events(self, inbox: str = "b") -> list[tuple[str, int, str, str]]:
        """All that an inbox got: call, n, type, data."""
        return [(row[0], row[2], row[3], row[4]) for to, rows in self.entries if to == inbox for row in rows]


class Pipeline:
    def __init__(self, inboxes: Inboxes) -> None:
        self._inboxes = inboxes
        self._entries: list[tuple[str, list[list[Any]]]] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        return None

    def xadd(self, key: str, fields: dict[str, str], *, maxlen: int, approximate: bool) -> None:
        assert (fields["type"], maxlen, approximate) == ("batch", 500, True)
        self._entries.append((key.removeprefix("u:inbox:"), json.loads(fields["data"])))

    def pexpire(self, key: str, ms: int) -> None:
        assert (key.removeprefix("u:inbox:"), ms) == (self._entries[-1][0], 3_600_000)

    async def execute(self, *, raise_on_error: bool) -> list[Any]:
        assert not raise_on_error
        await asyncio.sleep(0)
        if self._inboxes.away:
            raise RedisConnectionError
        if self._inboxes.refusing:
            return [ResponseError("WRONGTYPE")] * (2 * len(self._entries))
        self._inboxes.entries += self._entries
        if self._inboxes.loses_replies:
            self._inboxes.loses_replies -= 1
            raise RedisConnectionError
        return ["1-0", 1] * len(self._entries)


def a_run(call_id: str = "c1", *inboxes: str, stream: bool = True) -> Run:
    parts = SimpleNamespace(call_id=call_id, epoch=7, n=0, inboxes=inboxes or ("b",), streams=stream)
    return cast("Run", parts)


@pytest.fixture
def redis() -> Inboxes:
    return Inboxes()


@asynccontextmanager
async def running(redis: Inboxes) -> AsyncIterator[Deltas]:
    outbox = Deltas(cast("Any", redis), Keys(), 500)
    task = asyncio.create_task(outbox.run())
    yield outbox
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
async def outbox(redis: Inboxes) -> AsyncIterator[Deltas]:
    async with running(redis) as started:
        yield started


async def test_a_calls_first_delta_goes_at_once_and_alone_and_later_ones_together(
    redis: Inboxes, outbox: Deltas, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deltas, "PACE_S", 10)
    first, second = a_run("c1"), a_run("c2")
    outbox.say(first, "delta", "A")
    await aeventually(lambda: len(redis.entries) == 1)
    for text in "bcd":
        outbox.say(first, "delta", text)
    assert len(redis.entries) == 1
    outbox.say(second, "delta", "B")
    await aeventually(lambda: len(redis.entries) == 2)
    assert redis.entries[1] == ("b", [["c2", 7, 1, "delta", "B"]])
    outbox.say(first, "delta", "e")
    outbox.say(second, "delta", "f")
    await outbox.flush()
    assert redis.entries[2:] == [("b", [["c1", 7, 2, "delta", "bcde"], ["c2", 7, 2, "delta", "f"]])]


async def test_what_comes_later_goes_when_its_time_has_come(redis: Inboxes, outbox: Deltas) -> None:
    run = a_run()
    outbox.say(run, "delta", "first")
    await aeventually(lambda: len(redis.events()) == 1)
    outbox.say(run, "delta", "second")
    await aeventually(lambda: len(redis.events()) == 2)
    outbox.say(run, "delta", "third")
    await aeventually(lambda: len(redis.events()) == 3)


async def test_each_inbox_of_a_call_gets_its_events_and_no_others(redis: Inboxes, outbox: Deltas) -> None:
    outbox.say(a_run("c1", "b", "other"), "restarted", {"why": "cut"})
    outbox.say(a_run("c2", "b"), "delta", "x")
    await outbox.flush()
    assert redis.events("b") == [("c1", 1, "restarted", '{"why": "cut"}'), ("c2", 1, "delta", "x")]
    assert redis.events("other") == [("c1", 1, "restarted", '{"why": "cut"}')]


async def test_a_call_that_nobody_streams_says_nothing(redis: Inboxes, outbox: Deltas) -> None:
    outbox.say(a_run(stream=False), "delta", "x")
    await outbox.flush()
    assert redis.entries == []


async def test_while_redis_is_away_events_are_kept_and_go_in_their_order_once(
    redis: Inboxes, outbox: Deltas, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deltas, "RETRY_S", 0.01)
    run, redis.away = a_run(), True
    for text in ("A", "b"):
        outbox.say(run, "delta", text)
        await outbox.flush()
    redis.away = False
    await aeventually(lambda: len(redis.events()) == 2)
    assert redis.events() == [("c1", 1, "delta", "A"), ("c1", 2, "delta", "b")]


async def test_after_a_lost_reply_the_same_events_go_again_with_the_same_numbers(
    redis: Inboxes, outbox: Deltas, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deltas, "RETRY_S", 0.01)
    redis.loses_replies = 1
    outbox.say(a_run(), "delta", "A")
    await aeventually(lambda: len(redis.entries) == 2)
    assert redis.events() == [("c1", 1, "delta", "A")] * 2


async def test_what_cannot_be_kept_leaves_a_gap(
    redis: Inboxes, outbox: Deltas, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deltas, "MAX_CHARS", 3)
    run, redis.away = a_run(), True
    for text in ("ab", "cd", "e"):
        outbox.say(run, "delta", text)
    redis.away = False
    await outbox.flush()
    assert redis.events() == [("c1", 1, "delta", "ab"), ("c1", 3, "delta", "e")]


async def test_an_inbox_that_refuses_holds_up_no_other(redis: Inboxes, outbox: Deltas) -> None:
    run, redis.refusing = a_run(), True
    outbox.say(run, "delta", "lost")
    await outbox.flush()
    redis.refusing = False
    outbox.say(run, "delta", "x")
    await outbox.flush()
    assert redis.events() == [("c1", 2, "delta", "x")]


async def test_a_large_backlog_goes_in_entries_of_bounded_size(
    redis: Inboxes, outbox: Deltas, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deltas, "ENTRY_CHARS", 10)
    for name in ("c1", "c2", "c3"):
        outbox.say(a_run(name), "delta", "123456")
    await outbox.flush()
    assert [len(rows) for _, rows in redis.entries] == [1, 1, 1]
    assert [row[0] for _, rows in redis.entries for row in rows] == ["c1", "c2", "c3"]
