"""Calls that failed are run again through real workers: of a bot, of a cause, of a plain Celery caller."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.support.plain_parts import celery_is_told, got
from tests.support.polling import aeventually
from understudy.errors import AllProvidersFailed
from understudy.providers import providers_from
from understudy.state.operations import Operations
from understudy.state.record import DONE
from understudy.state.stats import Stats
from workers.stand_in import Fate

if TYPE_CHECKING:
    from tests.support.plain_parts import PlainCaller
    from tests.support.stack import Look, Stack

BY: dict[str, Any] = {"who": "ann", "why": "the providers are back"}


def out(stack: Stack) -> None:
    """No provider answers."""
    for provider in stack.providers.values():
        provider.set_fate(Fate(refuse=True))


async def well(stack: Stack, look: Look) -> None:
    """All answer again, and an operator says so."""
    for provider in stack.providers.values():
        provider.set_fate(Fate())
    await operations(stack, look).clear(None, **BY)


def operations(stack: Stack, look: Look) -> Operations:
    """What an operator can do in the stack."""
    return Operations(look.redis, look.keys, providers_from(stack.settings), stack.settings)


async def done(look: Look, call_id: str) -> None:
    """Wait until a call is done."""

    async def is_done() -> bool:
        return (await look.record(call_id)).state == DONE

    await aeventually(is_done)


async def test_a_bots_call_ends_done_and_its_inbox_is_told(stack: Stack) -> None:
    async with stack.client() as llm, stack.look() as look:
        out(stack)
        with pytest.raises(AllProvidersFailed) as caught:
            await llm.moderate("hello", deadline_s=2.0)
        call_id = caught.value.call_id
        await well(stack, look)
        assert await operations(stack, look).rerun(call_id, **BY)
        await done(look, call_id)
        record = await look.record(call_id)
        assert [attempt.what for attempt in record.attempts] == ["answered"]
        assert {attempt.what for attempt in record.earlier} == {"refused"}
        assert record.deadline - record.created == 30_000
        assert await look.ends_told([call_id]) == {call_id: 2}
        # whoever comes back for it by its id gets the answer
        assert (await (await llm.call(call_id)).result()).call_id == call_id


async def test_all_calls_of_a_cause_end_done_and_are_counted(stack: Stack) -> None:
    async with stack.client() as llm, stack.look() as look:
        out(stack)
        actions, ids = operations(stack, look), []
        for _ in range(3):
            with pytest.raises(AllProvidersFailed) as caught:
                await llm.moderate("hello", deadline_s=2.0)
            ids.append(caught.value.call_id)
            await actions.clear(None, **BY)
        assert set(ids) <= set(await actions.ended.ids("no_provider"))
        assert await actions.worst_cost(ids) > 0
        failed = (await Stats(look.redis, look.keys).last_quarter(actions.providers))["ollama"].failed
        assert failed >= 1
        await well(stack, look)
        assert await actions.rerun_cause("no_provider", limit=3, **BY) == 3
        for call_id in ids:
            await done(look, call_id)
        stats = (await Stats(look.redis, look.keys).last_quarter(actions.providers))["ollama"]
        assert stats.answered >= 3
        assert stats.p50_ms is not None
        assert stats.first_token_p50_ms is not None
        assert not set(ids) & set(await actions.ended.ids("no_provider"))


async def test_a_plain_callers_call_is_told_to_celery_anew(stack: Stack, bot: PlainCaller) -> None:
    out(stack)
    result = bot.call(deadline_s=2.0).delay()
    with pytest.raises(AllProvidersFailed):
        got(result)
    async with stack.look() as look:
        await celery_is_told(look, result.id)
        await well(stack, look)
        assert await operations(stack, look).rerun(result.id, **BY)
        await done(look, result.id)
        await celery_is_told(look, result.id)
        stored = bot.stored(result.id)
        assert stored["status"] == "SUCCESS"
        assert (stored["result"]["call_id"], stored["result"]["status"]) == (result.id, "done")
