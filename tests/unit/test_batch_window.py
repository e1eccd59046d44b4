"""The window of a batch job, by table."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bot_client.batch.window import FIRST, REST, Memory, Sight, Window, in_flight, next_window, sight
from tests.support.health import DEAD, OPENAI, TWO, deep, half_open, out, paused, seen
from understudy.contracts.call import Spend
from understudy.routing import Policy
from understudy.state.health import Breaker, Queue, Snapshot

DEFER = Policy("moderation", spend=Spend.DEFER, batch=True)
ALLOW = replace(DEFER, spend=Spend.ALLOW)
WELL, HURT, SHUT = Sight(20), Sight(20, "live calls wait", hurt=True), Sight(0, "out")


@pytest.mark.parametrize(
    ("window", "look", "limit", "after"),
    [
        (Window(4), WELL, 99, Window(8)),
        (Window(16), WELL, 99, Window(20)),
        (Window(8), WELL, 10, Window(10)),
        (Window(8, doubles=False), WELL, 99, Window(9, doubles=False)),
        (Window(20), WELL, 5, Window(5)),
        (Window(16), HURT, 99, Window(8, doubles=False, rest=REST)),
        (Window(8, doubles=False, rest=2), HURT, 99, Window(8, doubles=False, rest=1)),
        (Window(1, doubles=False), HURT, 99, Window(1, doubles=False, rest=REST)),
        (Window(16), SHUT, 99, Window(0)),
        (Window(0), SHUT, 99, Window(0)),
        (Window(0), WELL, 99, Window(FIRST)),
        (Window(0), WELL, 2, Window(2)),
        (Window(16), WELL, 0, Window(0)),
    ],
)
def test_a_window_doubles_then_creeps_up_and_is_halved_while_live_calls_are_hurt(
    window: Window, look: Sight, limit: int, after: Window
) -> None:
    assert next_window(window, look, limit) == after


def wide(live: int, batch: int) -> Snapshot:
    """A free provider whose workers run so many."""
    return seen(ollama=Queue(concurrency=live), ollama_batch=Queue(concurrency=batch))


@pytest.mark.parametrize(
    ("policy", "snapshot", "room", "why"),
    [
        (DEFER, wide(live=16, batch=4), 4, ""),
        (DEFER, wide(live=4, batch=16), 10, ""),
        (DEFER, wide(live=0, batch=1), 1, ""),
        (DEFER, seen(ollama=half_open(1)), 1, ""),
        (DEFER, seen(ollama=out(9_000)), 0, "its breaker is open (refused)"),
        (DEFER, seen(ollama_batch=paused(9_000)), 0, "its queue is paused"),
        (DEFER, seen(ollama_batch=DEAD), 0, "no worker consumes ollama.batch"),
        (ALLOW, seen(ollama=out(9_000), openai_batch=Queue(concurrency=3)), 3, ""),
        (ALLOW, seen(ollama=out(9_000), openai=out(9_000, "quota")), 0, "quota"),
        (replace(ALLOW, local_only=True), seen(ollama=out(9_000)), 0, "its breaker is open"),
    ],
)
def test_room_is_a_share_of_the_provider_in_use_and_none_while_it_is_out(
    policy: Policy, snapshot: Snapshot, room: int, why: str
) -> None:
    look, _ = sight(TWO, policy, snapshot, Memory())
    assert look.room == room
    assert why in look.why


def test_without_budget_the_paid_provider_gives_no_room() -> None:
    look, _ = sight(TWO, ALLOW, seen(ollama=out(9_000)), Memory(), may_pay=False)
    assert (look.room, "the budget is used up" in look.why) == (0, True)
    look, _ = sight((OPENAI,), ALLOW, seen(), Memory(), may_pay=True)
    assert look.room == 4


def test_a_live_call_that_waits_hurts_and_a_batch_row_that_waits_does_not() -> None:
    waiting = replace(deep(2), oldest_ms=900)
    assert sight(TWO, DEFER, seen(ollama=waiting), Memory())[0].hurt
    assert not sight(TWO, DEFER, seen(ollama_batch=waiting), Memory())[0].hurt
    assert not sight(TWO, DEFER, seen(ollama=replace(waiting, oldest_ms=20)), Memory())[0].hurt


def test_live_answers_that_take_longer_than_in_calm_hurt_only_while_new_ones_come() -> None:
    def look(memory: Memory, *durations: int, kind: str = "moderation") -> tuple[Sight, Memory]:
        return sight(TWO, DEFER, seen(ollama=Breaker(durations={kind: durations})), memory)

    first, memory = look(Memory(), 200, 210)
    slower, memory = look(memory, 200, 300, 320)
    same, memory = look(memory, 200, 300, 320)
    again, _ = look(memory, 210, 205, 200)
    assert [first.hurt, slower.hurt, same.hurt, again.hurt] == [False, True, False, False]
    rows, memory = look(Memory(), 200, kind="moderation.batch")
    assert not rows.hurt
    assert not memory.calm


def test_more_rows_than_can_run_are_open_only_where_they_wait_in_the_queue() -> None:
    assert in_flight(Window(16), slots=16) == 24
    assert in_flight(Window(8), slots=16) == 8
    assert in_flight(Window(0), slots=0) == 0
