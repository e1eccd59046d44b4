"""A streamed answer on a chat platform: few edits, and the last state whatever the platform does."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import TYPE_CHECKING, Self

import pytest

from bot_client.events import Delta, Done, Restarted, Started
from bot_client.pacing import NotShown, paced
from tests.support.polling import aeventually
from understudy.contracts.agent_turn import AgentTurnResult
from understudy.contracts.call import Outcome, Status
from understudy.errors import AllProvidersFailed, CallCancelled

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from bot_client.events import AgentEvent

NEVER_S = 3600.0
ANSWER = "Two disks, and one of them elsewhere."


def outcome(text: str = ANSWER) -> Outcome[AgentTurnResult]:
    result = AgentTurnResult(text=text, finish_reason="stop")
    return Outcome(call_id="c1", kind="agent_turn", status=Status.DONE, result=result)


class Turn:
    """A turn in which this happens; an error ends it, a function is waited for."""

    def __init__(self, *happens: AgentEvent | Exception | Callable[[], object]) -> None:
        self._happens = happens
        self.left = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.left = True

    async def __aiter__(self) -> AsyncIterator[AgentEvent]:
        for each in self._happens:
            if isinstance(each, Exception):
                raise each
            if callable(each):
                await aeventually(each)
            else:
                yield each

    async def result(self) -> Outcome[AgentTurnResult]:
        return outcome()


class FloodError(Exception):
    def __init__(self, wait_s: float) -> None:
        super().__init__("Too Many Requests")
        self.wait_s = wait_s


class Platform:
    """A chat whose edits fail as told: each is an error, or nothing."""

    def __init__(self, *fails: Exception | None) -> None:
        self._fails = list(fails)
        self.asked: list[tuple[str, bool]] = []
        self.shown: list[tuple[str, bool]] = []
        self.at: list[float] = []

    async def show(self, text: str, last: bool) -> None:
        self.asked.append((text, last))
        self.at.append(asyncio.get_running_loop().time())
        await asyncio.sleep(0)
        if self._fails and (error := self._fails.pop(0)):
            raise error
        self.shown.append((text, last))

    def has_shown(self, text: str) -> Callable[[], bool]:
        return lambda: bool(self.shown) and self.shown[-1][0] == text


def retry_after(error: Exception) -> float | None:
    return error.wait_s if isinstance(error, FloodError) else None


def words(text: str = ANSWER) -> list[AgentEvent]:
    return [Delta(piece) for piece in text.replace(" ", " |").split("|")]


async def test_many_small_pieces_make_few_edits_and_the_last_one_is_the_whole_answer() -> None:
    chat = Platform()
    done = await paced(Turn(Started("ollama", "m"), *words(), Done(outcome())), chat.show, every_s=NEVER_S)
    assert chat.shown[-1] == (ANSWER, True)
    assert len(chat.shown) <= 2
    assert done.result == outcome().result


async def test_text_is_shown_as_it_comes_whole_each_time_and_not_for_a_few_characters() -> None:
    chat = Platform()
    turn = Turn(
        Delta("One"), chat.has_shown("One"), Delta(" two"), Delta(" three"), chat.has_shown("One two three"),
        Done(outcome("One two three")),
    )  # fmt: skip
    await paced(turn, chat.show, every_s=0.001, every_chars=10)
    assert ("One two", False) not in chat.shown
    assert chat.shown == [("One", False), ("One two three", False), ("One two three", True)]


async def test_a_few_characters_are_shown_after_a_while_when_no_more_come() -> None:
    chat = Platform()
    turn = Turn(Delta("Let me look"), chat.has_shown("Let me look"), Delta("."), chat.has_shown("Let me look."))
    await paced(turn, chat.show, every_s=0.005, every_chars=1000)
    assert ("Let me look.", False) in chat.shown


async def test_edits_begin_no_sooner_after_each_other_than_said() -> None:
    chat = Platform()
    more: list[AgentEvent | Callable[[], object]] = []
    for n in range(1, 6):
        more += [Delta("x"), chat.has_shown("x" * n)]
    await paced(Turn(*more, Done(outcome("xxxxx"))), chat.show, every_s=0.03, every_chars=1)
    edits = [at for at, (_, last) in zip(chat.at, chat.asked, strict=True) if not last]
    assert all(later - earlier >= 0.029 for earlier, later in pairwise(edits))


@pytest.mark.parametrize("failures", [1, 3, 6])
async def test_the_last_state_is_shown_however_many_edits_failed(failures: int) -> None:
    chat = Platform(*[FloodError(0.002)] * failures)
    await paced(Turn(*words(), Done(outcome())), chat.show, every_s=0.001, retry_after=retry_after)
    assert chat.shown[-1] == (ANSWER, True)
    assert len(chat.asked) > failures


async def test_an_edit_that_fails_without_a_word_is_tried_again_with_what_came_since() -> None:
    chat = Platform(RuntimeError("gateway"))
    turn = Turn(Delta("One"), lambda: chat.asked, Delta(" two"), chat.has_shown("One two"), Done(outcome("One two")))
    await paced(turn, chat.show, every_s=0.001, every_chars=1)
    assert chat.shown == [("One two", False), ("One two", True)]


async def test_a_platform_that_wants_to_be_left_alone_is_left_alone_also_for_the_last_state() -> None:
    chat = Platform(FloodError(0.2))
    await paced(Turn(Delta("One"), lambda: chat.asked, Done(outcome("One"))), chat.show, retry_after=retry_after)
    assert chat.asked == [("One", False), ("One", True)]
    assert chat.at[1] - chat.at[0] >= 0.199


async def test_a_platform_that_never_takes_the_last_state_ends_in_an_error_that_has_it_and_does_not_print_it() -> None:
    chat = Platform(*[FloodError(0.01)] * 1000)
    with pytest.raises(NotShown, match=r"could not be shown within 0\.1 s") as raised:
        await paced(Turn(*words(), Done(outcome())), chat.show, retry_after=retry_after, last_s=0.1)
    assert raised.value.text == ANSWER
    assert raised.value.outcome is not None
    assert ANSWER not in str(raised.value)


async def test_what_a_failed_provider_wrote_is_dropped() -> None:
    chat = Platform()
    turn = Turn(
        Delta("Half an ans"), chat.has_shown("Half an ans"), Restarted("openai", "cut"), chat.has_shown(""),
        *words(), Done(outcome()),
    )  # fmt: skip
    await paced(turn, chat.show, every_s=0.001)
    assert chat.shown[-1] == (ANSWER, True)
    assert not any(text.startswith("Half") and "Two" in text for text, _ in chat.shown)


@pytest.mark.parametrize("error", [AllProvidersFailed("No answer.", "c1", None), CallCancelled("Stopped.", "c1", None)])
async def test_a_turn_that_fails_shows_what_has_come_and_then_raises(error: Exception) -> None:
    chat = Platform(FloodError(0.001))
    with pytest.raises(type(error)):
        await paced(Turn(Delta("Two disks"), error), chat.show, retry_after=retry_after)
    assert chat.shown[-1] == ("Two disks", True)


async def test_a_turn_that_fails_before_there_is_text_shows_nothing() -> None:
    chat = Platform()
    with pytest.raises(AllProvidersFailed):
        await paced(Turn(Started("ollama", "m"), AllProvidersFailed("No answer.", "c1", None)), chat.show)
    assert chat.asked == []


async def test_a_task_that_is_cancelled_leaves_the_turn_and_shows_what_has_come() -> None:
    chat, looks = Platform(), list[int]()
    turn = Turn(Delta("Two disks"), chat.has_shown("Two disks"), Delta(" and more"), lambda: looks.append(1))
    task = asyncio.create_task(paced(turn, chat.show, every_s=NEVER_S))
    await aeventually(lambda: looks)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert turn.left
    assert chat.shown[-1] == ("Two disks and more", True)


async def test_an_edit_on_its_way_is_waited_for_so_that_the_last_state_is_the_last_to_arrive() -> None:
    begun, let_go = asyncio.Event(), asyncio.Event()
    arrived: list[str] = []

    async def show(text: str, last: bool) -> None:
        if not last:
            begun.set()
            await let_go.wait()
        arrived.append(text)

    turn = Turn(Delta("Two"), begun.is_set, Delta(ANSWER.removeprefix("Two")), Done(outcome()))
    task = asyncio.create_task(paced(turn, show))
    await aeventually(lambda: turn.left)
    assert arrived == []
    let_go.set()
    await task
    assert arrived == ["Two", ANSWER]
