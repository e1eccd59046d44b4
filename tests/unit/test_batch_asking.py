"""`remoderate` over a client in memory: what is asked, what is asked again, and how far it reads ahead."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import pytest

from bot_client.batch import asking
from bot_client.batch.asking import TRIES, by_outage
from bot_client.batch.plan import Plan
from bot_client.batch.progress import Progress
from bot_client.batch.row import Row, read_row
from bot_client.batch.running import Running
from bot_client.testing import FakeUnderstudy
from tests.support.polling import aeventually
from understudy.errors import AllProvidersFailed, InvalidRequest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from bot_client.batch.verdict import Verdict


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the pauses before a row is submitted again."""
    monkeypatch.setattr(asking, "AGAIN_S", 0.0)


async def rows_of(texts: list[str]) -> AsyncIterator[Row]:
    """Rows of these texts."""
    for number, text in enumerate(texts, 1):
        yield read_row(text, number)


async def judged(llm: FakeUnderstudy, messages: Any, **options: Any) -> list[Verdict]:
    """All verdicts."""
    return [verdict async for verdict in llm.remoderate(messages, **options)]


async def test_every_message_gets_one_verdict_and_the_same_text_is_asked_once() -> None:
    async with FakeUnderstudy() as llm:
        progress = Progress()
        texts = ["a", "b", "a", "c", "a"]
        verdicts = await judged(llm, texts, progress=progress)
        assert sorted(int(verdict.id) for verdict in verdicts) == [1, 2, 3, 4, 5]
        assert len(llm.calls) == 3
        assert sum(verdict.source == "same_text" for verdict in verdicts) == 2
        assert (progress.done, progress.asked, progress.shared, progress.state) == (5, 3, 2, "done")
        assert all(call.options.job == progress.job for call in llm.calls)


async def test_what_breaks_the_contract_is_an_error_of_its_row_and_is_not_asked() -> None:
    async with FakeUnderstudy() as llm:
        verdicts = await judged(llm, [{"id": "a", "text": ""}, {"text": "no id"}, {"id": "c", "text": "fine"}])
        assert {verdict.id: verdict.error for verdict in verdicts} == {"a": "invalid", 2: "invalid", "c": ""}
        assert len(llm.calls) == 1


async def test_no_message_is_read_ahead_of_the_window_nor_of_the_reader() -> None:
    read = 0

    def messages() -> Iterator[str]:
        nonlocal read
        for read in range(1, 101):
            yield f"text {read}"

    async with FakeUnderstudy() as llm, aclosing(llm.remoderate(messages(), window=3)) as verdicts:  # type: ignore[type-var]
        seen = 0
        async for _ in verdicts:
            seen += 1
            for _ in range(20):
                await asyncio.sleep(0)
            assert read <= seen + 3
            if seen == 10:
                break


async def test_an_asynchronous_cursor_is_read_as_well_and_its_error_comes_after_the_verdicts() -> None:
    async def cursor() -> AsyncIterator[dict[str, Any]]:
        yield {"id": 1, "text": "a"}
        raise RuntimeError("the cursor broke")

    async with FakeUnderstudy() as llm:
        verdicts = llm.remoderate(cursor())
        assert (await anext(verdicts)).id == 1
        with pytest.raises(RuntimeError, match="the cursor broke"):
            await anext(verdicts)


async def opened(llm: FakeUnderstudy) -> None:
    """Wait until a call is open."""
    await aeventually(lambda: len(llm.calls) == 1)


@pytest.mark.parametrize("reason", ["no_provider", "deadline", "no_workers", "budget"])
async def test_a_row_that_an_outage_ended_is_submitted_again(reason: str) -> None:
    async with FakeUnderstudy() as llm:
        llm.fail("moderation", reason, failures=["refused"])
        progress = Progress()
        (verdict,) = await judged(llm, ["a"], progress=progress)
        assert (verdict.verdict, progress.retries, len(llm.calls)) == ("none", 1, 2)


async def test_an_outage_that_never_ends_and_a_row_that_is_to_blame_are_errors_by_cause() -> None:
    async with FakeUnderstudy() as llm:
        llm.fail("moderation", "no_provider", failures=["refused"], always=True)
        progress = Progress()
        (verdict,) = await judged(llm, ["a"], progress=progress)
        assert (verdict.error, len(llm.calls)) == ("no_provider", TRIES + 1)
        assert progress.errors == {"no_provider": 1}
    async with FakeUnderstudy() as llm:
        llm.fail("moderation", "no_provider", failures=["not_json"])
        (verdict,) = await judged(llm, ["a"])
        assert (verdict.error, len(llm.calls)) == ("no_provider", 1)


def test_a_call_whose_outcome_is_unknown_is_asked_for_again() -> None:
    assert by_outage(AllProvidersFailed("silent", "id", None))


async def test_rows_whose_reader_leaves_are_cancelled_unless_the_job_has_a_name() -> None:
    for job, state in ((None, "cancelled"), ("mine", None)):
        async with FakeUnderstudy() as llm:
            llm.hold("moderation")
            verdicts = llm.remoderate(["a"], job=job)
            waiting = asyncio.ensure_future(anext(verdicts))
            await opened(llm)
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
            outcome = llm.calls[0].outcome
            assert (outcome.status.value if outcome else None) == state


async def test_a_job_that_is_stopped_ends_with_its_last_rows_also_when_asked_twice() -> None:
    async with FakeUnderstudy() as llm:
        llm.hold("moderation")
        running = Running(llm, Plan(named=True))
        verdicts = running.verdicts(rows_of(["a"]))
        waiting = asyncio.ensure_future(anext(verdicts))
        await opened(llm)
        for grace_s in (60, 0):
            running.stop(grace_s)
            await asyncio.sleep(0)
        with pytest.raises(StopAsyncIteration):
            await waiting
        assert running.progress.state == "stopped"


async def test_answers_of_an_earlier_job_are_taken_from_its_cache(tmp_path: Path) -> None:
    async with FakeUnderstudy() as llm:
        cache = tmp_path / "cache.sqlite"
        await judged(llm, ["a", "b"], cache=cache)
        progress = Progress()
        verdicts = await judged(llm, ["a", "c"], cache=cache, progress=progress)
        # A client in memory has no primary whose model it could look for: nothing of another model is taken.
        assert {verdict.verdict for verdict in verdicts} == {"none"}
        broken = tmp_path / "broken.sqlite"
        broken.write_text("no database " * 100)
        with pytest.raises(InvalidRequest, match=r"The cache .* cannot be used"):
            await judged(llm, ["a"], cache=broken)


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"window": 0}, "window is 0"),
        ({"rate": 0}, "rate must be above 0"),
        ({"job": "a b"}, "job must be"),
        ({"spend": "maybe"}, "spend must be one of never, defer, allow"),
        ({"budget_usd": -1}, "budget_usd must be"),
        ({"cache_days": 0}, "cache_days"),
    ],
)
async def test_a_wrong_argument_is_told_before_the_first_message_is_read(options: dict[str, Any], why: str) -> None:
    async with FakeUnderstudy() as llm:
        with pytest.raises(InvalidRequest, match=why):
            llm.remoderate(["a"], **options)
