"""A plain Celery caller's call that fails says why: alone, and in every shape of the canvas."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import pytest
from celery import chain, chord
from celery.backends.base import create_exception_cls
from celery.exceptions import NotRegistered
from celery.result import AsyncResult

from tests.support.plain_parts import celery_is_told, got
from tests.support.polling import aeventually
from understudy.contracts.call import AnyOutcome
from understudy.errors import AllProvidersFailed, DeadlineExceeded, InvalidRequest, VersionMismatch
from workers.stand_in import Fate

if TYPE_CHECKING:
    from tests.support.plain_parts import PlainCaller
    from tests.support.stack import Stack

SECRET = "marker-of-what-a-user-wrote"


def all_out(stack: Stack) -> None:
    """No provider answers, and none is asked for long."""
    stack.ollama.set_fate(Fate(status=500))
    stack.openai.set_fate(Fate(status=500))


async def body_failed(bot: PlainCaller, joined: AsyncResult, because: str) -> None:
    """Wait until a chord's body, which never ran, has failed with the error of its header."""

    def failed() -> bool:
        stored = bot.stored(joined.id)
        return stored.get("status") == "FAILURE" and because in str(stored["result"])

    await aeventually(failed)
    assert bot.stored(joined.id)["result"]["exc_type"] == "ChordError"


async def test_a_failure_survives_the_json_backend(stack: Stack, bot: PlainCaller) -> None:
    all_out(stack)
    result = bot.call(deadline_s=2.0).delay()
    with pytest.raises(AllProvidersFailed) as caught:
        got(result)
    assert caught.value.call_id == result.id
    assert {attempt["provider"] for attempt in caught.value.attempts} == {"ollama", "openai"}
    outcome = AnyOutcome.model_validate(caught.value.outcome)
    assert (outcome.status, outcome.reason, outcome.result) == ("failed", "no_provider", None)
    assert str(caught.value).startswith(f"moderation {result.id} was answered by no provider")
    stored = bot.stored(result.id)
    assert (stored["status"], stored["result"]["exc_module"]) == ("FAILURE", "understudy.errors")
    # what a caller gets who has not installed this project
    unknown = create_exception_cls(stored["result"]["exc_type"], "bot")(*stored["result"]["exc_message"])
    assert unknown.args[1] == result.id
    async with stack.look() as look:
        await celery_is_told(look, result.id)


async def test_with_all_providers_out_a_thread_still_gets_a_name(stack: Stack, bot: PlainCaller) -> None:
    all_out(stack)
    outcome = got(bot.call("thread_naming", deadline_s=2.0).delay())
    assert (outcome["status"], outcome["degraded"], outcome["provider"]) == ("done", True, None)
    assert outcome["result"]["name"]


async def test_a_failure_ends_a_chain_and_calls_the_errbacks(stack: Stack, bot: PlainCaller) -> None:
    all_out(stack)
    noticed, body_noticed = uuid.uuid4().hex, uuid.uuid4().hex
    failing = bot.call(deadline_s=2.0)
    failing.link_error(bot.keep().set(task_id=noticed))
    chained = chain(failing, bot.call("agent_turn")).delay()
    header = [bot.call(deadline_s=2.0), bot.call("thread_naming", deadline_s=2.0)]
    joined = chord(header)(bot.keep().on_error(bot.keep().set(task_id=body_noticed)))
    with pytest.raises(AllProvidersFailed):
        got(chained.parent)
    with pytest.raises(AllProvidersFailed):
        got(chained)
    assert got(AsyncResult(noticed, app=bot.app)) == chained.parent.id
    await body_failed(bot, joined, "AllProvidersFailed")
    assert got(AsyncResult(body_noticed, app=bot.app)) == joined.id
    async with stack.look() as look:
        assert await look.ledger.record(chained.id) is None  # the second link of the chain never began


WRONG: dict[str, tuple[tuple[Any, ...], dict[str, Any], str]] = {
    "no request": ((), {}, "request is missing"),
    "an empty text": ((), {"request": {"text": ""}}, "text has 0 characters; at least 1"),
    "a text too long": ((), {"request": {"text": SECRET * 400}}, r"text has .* 8,000"),
    "no text": ((), {"request": {"rules": SECRET}}, "text"),
    "a field too many": ((), {"request": {"text": SECRET, "colour": SECRET}}, "colour"),
    "a text for a request": ((), {"request": SECRET}, "object"),
    "a list for a request": ((), {"request": [SECRET]}, "object"),
    "a number for a text": ((), {"request": {"text": 7}}, "text"),
    "a text for options": ((), {"request": {"text": SECRET}, "call": SECRET}, "object of options"),
    "an option too many": ((), {"request": {"text": SECRET}, "call": {"urgent": True}}, "urgent"),
    "a deadline of nothing": ((), {"request": {"text": SECRET}, "call": {"deadline_s": 0}}, "deadline_s"),
    "a deadline as text": ((), {"request": {"text": SECRET}, "call": {"deadline_s": SECRET}}, "deadline_s"),
    "an unheard-of spend": ((), {"request": {"text": SECRET}, "call": {"spend": SECRET}}, "spend"),
    "a dispatch that is none": ((), {"dispatch": SECRET}, "dispatch must be an object"),
    "an outcome, as a chain hands it on": (({"call_id": "x", "status": "done"},), {}, "text"),
}


async def test_a_wrong_request_fails_with_one_sentence_and_never_comes_to_the_ledger(
    stack: Stack, bot: PlainCaller
) -> None:
    results = {what: bot.send("moderation", *args, **kwargs) for what, (args, kwargs, _) in WRONG.items()}
    for what, (_, _, sentence) in WRONG.items():
        with pytest.raises(InvalidRequest, match=sentence) as caught:
            got(results[what])
        said = str(caught.value)
        assert said.startswith(("moderation", "call")), what
        assert said.count(". ") == 0, what
        assert SECRET not in said, what
    assert got(bot.call().delay())["status"] == "done"
    async with stack.look() as look:
        for result in results.values():
            assert await look.ledger.record(result.id) is None
    assert SECRET not in stack.logs()


async def test_what_is_no_call_at_all_fails_its_own_id(stack: Stack, bot: PlainCaller) -> None:
    with pytest.raises(NotRegistered):
        got(bot.send("no_such_kind", request={"text": SECRET}))
    with pytest.raises(TypeError):
        got(bot.send("moderation", colour="blue"))
    newer = bot.send("moderation", dispatch={"v": 99, "sent": 1})
    with pytest.raises(VersionMismatch, match="99"):
        got(newer)
    assert got(bot.call().delay())["status"] == "done"
    assert all(worker.alive for worker in stack.workers.values())


async def test_an_invalid_link_fails_its_chain_and_its_chord(stack: Stack, bot: PlainCaller) -> None:
    chained = chain(bot.call(text=""), bot.call()).delay()
    joined = chord([bot.call(), bot.call(text="")])(bot.keep())
    with pytest.raises(InvalidRequest, match="text"):
        got(chained)
    await body_failed(bot, joined, "InvalidRequest")


async def test_a_call_that_the_reconciler_ends_fails_its_chain_and_its_chord(stack: Stack, bot: PlainCaller) -> None:
    stack.ollama.set_fate(Fate(silence=True))
    noticed = uuid.uuid4().hex
    lone = bot.call(deadline_s=5.0, spend="never").delay()
    chained = chain(bot.call(deadline_s=5.0, spend="never"), bot.call()).delay()
    header = [bot.call(deadline_s=5.0, spend="never"), bot.call(queue="openai")]
    joined = chord(header)(bot.keep().on_error(bot.keep().set(task_id=noticed)))
    await aeventually(lambda: stack.running("ollama") == 3)
    stack.workers["ollama"].kill()  # and with it the only worker of the calls' own queue
    for result in (lone, chained):
        with pytest.raises(DeadlineExceeded) as caught:
            got(result)
        assert [attempt["provider"] for attempt in caught.value.attempts] == ["ollama"]
    await body_failed(bot, joined, "DeadlineExceeded")
    assert got(AsyncResult(noticed, app=bot.app)) == joined.id
    async with stack.look() as look:
        await celery_is_told(look, lone.id, in_rounds=1)


async def test_celerys_time_limits_end_a_call_and_its_caller_hears_of_it(stack: Stack, bot: PlainCaller) -> None:
    stack.ollama.set_fate(Fate(silence=True))
    for limit in ("soft_time_limit", "time_limit"):
        result = bot.call().apply_async(**{limit: 0.5})
        with pytest.raises(DeadlineExceeded) as caught:
            got(result)
        assert [attempt["what"] for attempt in caught.value.attempts] == ["time_limit"]
        async with stack.look() as look:
            await celery_is_told(look, result.id)
