"""Places and histories of conversations in Redis, driven by hand: lost replies, lost leases, late ends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from understudy.state.conversation import LEASE_MS, Limits, Place, RedisConversations, Turn
from understudy.state.keys import Keys
from understudy.state.lua import Lua

if TYPE_CHECKING:
    from redis.asyncio import Redis

LIMITS = Limits()


class Hand:
    """Turns of one conversation, by their number; `at` moves the clock."""

    def __init__(self, redis: Redis) -> None:
        self.redis = redis
        self.keys = Keys("t:")
        self.at = 0
        self.store = RedisConversations(Lua(redis, self.keys, lambda: self.at), "inbox-1")
        self.other = RedisConversations(Lua(redis, self.keys, lambda: self.at), "inbox-2")

    @staticmethod
    def turn(n: int, *, answered: bool = False) -> Turn:
        said: list[dict[str, Any]] = [{"role": "user", "content": f"q{n}"}]
        return Turn(f"call-{n}", tuple([*said, {"role": "assistant", "content": f"a{n}"}] if answered else said))

    async def take(self, n: int, **more: Any) -> Place:
        store = self.other if n % 2 else self.store
        return await store.take("chat", f"ticket-{n}", self.turn(n), limits=LIMITS, **more)

    async def end(self, n: int, *, answered: bool = True, first: int | None = None, unknown: bool = False) -> None:
        store = self.other if n % 2 else self.store
        turn = self.turn(n, answered=True) if answered else None
        oldest = None if first is None else f"call-{first}"
        await store.end("chat", f"ticket-{n}", f"call-{n}", turn=turn, first=oldest, unknown=unknown, ttl_s=60)

    async def history(self) -> list[str]:
        return [turn.call for turn in await self.store.history("chat")]

    async def woken(self, inbox: str) -> list[str]:
        rows: Any = await self.redis.xrange(self.keys.inbox(inbox))
        return [fields["id"] for _, fields in rows if fields["type"] == "turn"]


@pytest.fixture
def hand(redis: Redis) -> Hand:
    return Hand(redis)


async def test_only_the_first_may_begin_and_its_end_wakes_the_next_one_where_that_waits(hand: Hand) -> None:
    assert [(await hand.take(n)).word for n in (0, 1, 2)] == ["go", "wait", "wait"]
    await hand.end(0)
    assert await hand.woken("inbox-2") == ["ticket-1"]
    assert await hand.woken("inbox-1") == []
    assert [(await hand.take(n)).word for n in (2, 1)] == ["wait", "go"]
    assert [turn.call for turn in (await hand.take(1)).history] == ["call-0"]


async def test_a_place_that_is_asked_for_again_after_a_lost_reply_is_the_same_place(hand: Hand) -> None:
    for _ in range(2):
        assert (await hand.take(0)).word == "go"
        assert (await hand.take(1)).word == "wait"
    assert await hand.redis.llen(hand.keys.turns("chat")) == 2


async def test_an_end_that_is_told_again_after_a_lost_reply_is_written_once_and_takes_nobodys_place(hand: Hand) -> None:
    await hand.take(0)
    await hand.take(1)
    await hand.end(0)
    assert (await hand.take(1)).word == "go"
    await hand.end(0)
    assert await hand.history() == ["call-0"]
    assert (await hand.take(1)).word == "go"
    assert (await hand.take(2)).word == "wait"


async def test_a_place_that_is_kept_lasts_and_one_that_is_not_is_lost_when_it_comes_to_the_head(hand: Hand) -> None:
    for n in (0, 1, 2, 3):
        await hand.take(n)
    for _ in range(3):
        hand.at += LEASE_MS - 1_000
        await hand.store.keep("chat", "ticket-0")
        assert [(await hand.take(n)).word for n in (2, 3)] == ["wait", "wait"]
    await hand.end(0)  # 1 died while it waited
    assert await hand.woken("inbox-1") == ["ticket-2"]
    assert (await hand.take(2)).word == "go"


async def test_the_place_of_one_who_died_at_the_head_goes_to_the_next_one_who_first_finds_out_how_it_ended(
    hand: Hand,
) -> None:
    await hand.take(0)
    hand.at += LEASE_MS // 2
    await hand.take(1)
    await hand.take(2)
    hand.at += LEASE_MS // 2 + 1
    assert (await hand.take(2)).word == "wait"  # sees that 0 is gone, and wakes whose turn it is
    assert await hand.woken("inbox-2") == ["ticket-1"]
    place = await hand.take(1)
    assert (place.word, place.open) == ("settle", hand.turn(0))
    assert (await hand.take(1)).word == "settle"
    for _ in range(2):
        place = await hand.take(1, settled=("call-0", hand.turn(0, answered=True)))
        assert (place.word, [turn.call for turn in place.history]) == ("go", ["call-0"])


async def test_a_turn_before_that_was_not_answered_is_settled_without_a_trace(hand: Hand) -> None:
    await hand.take(0)
    hand.at += LEASE_MS + 1
    assert (await hand.take(1)).word == "settle"
    assert (await hand.take(1, settled=("call-0", None))).word == "go"
    assert await hand.history() == []


async def test_one_who_was_only_silent_and_ends_late_is_written_once_whoever_settled_it(hand: Hand) -> None:
    await hand.take(0)
    hand.at += LEASE_MS + 1
    await hand.take(1)
    await hand.take(1, settled=("call-0", hand.turn(0, answered=True)))
    await hand.end(0)
    await hand.end(1)
    assert await hand.history() == ["call-0", "call-1"]


async def test_one_who_was_only_silent_and_ends_before_it_is_settled_leaves_nothing_to_settle(hand: Hand) -> None:
    await hand.take(0)
    hand.at += LEASE_MS + 1
    assert (await hand.take(1)).word == "settle"
    await hand.end(0)
    place = await hand.take(1, settled=("call-0", hand.turn(0, answered=True)))
    assert (place.word, [turn.call for turn in place.history]) == ("go", ["call-0"])


async def test_keeping_a_lost_place_does_not_take_another(hand: Hand) -> None:
    await hand.take(0)
    await hand.end(0, answered=False)
    await hand.store.keep("chat", "ticket-0")
    assert (await hand.take(1)).word == "go"


async def test_an_end_that_is_unknown_is_for_the_next_turn_to_find_out(hand: Hand) -> None:
    await hand.take(0)
    await hand.end(0, answered=False, unknown=True)
    assert (await hand.take(1)).open == hand.turn(0)


async def test_the_oldest_turns_go_when_a_new_one_is_written_but_not_for_one_that_is_not_there(hand: Hand) -> None:
    for n in range(4):
        await hand.take(n)
        await hand.end(n, first=max(0, n - 2))
    assert await hand.history() == ["call-1", "call-2", "call-3"]
    await hand.take(4)
    await hand.end(4, first=0)
    assert await hand.history() == ["call-1", "call-2", "call-3", "call-4"]
    await hand.take(5)
    await hand.end(5, first=5)
    assert await hand.history() == ["call-5"]


async def test_what_was_cleared_while_a_turn_ran_stays_cleared_also_where_the_next_one_settles_it(hand: Hand) -> None:
    await hand.take(0)
    await hand.store.clear("chat")
    hand.at += LEASE_MS + 1
    await hand.take(1)
    await hand.take(1, settled=("call-0", hand.turn(0, answered=True)))
    await hand.end(1)
    assert await hand.history() == ["call-1"]


async def test_text_comes_back_as_it_was_said(hand: Hand) -> None:
    said = 'a "quoted" \\ line\nwith 👨‍👩‍👧 and \x00 and </s>'
    turn = Turn("call-9", ({"role": "user", "content": said},), "key")
    await hand.store.take("chat", "t", turn, limits=LIMITS)
    await hand.store.end("chat", "t", "call-9", turn=turn, first=None, unknown=False, ttl_s=60)
    assert await hand.store.history("chat") == (turn,)
