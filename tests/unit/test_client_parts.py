"""The client's parts that need no server: turnstile, policy, statuses, what an import costs."""

from __future__ import annotations

import asyncio
import subprocess
import sys

import pytest

import bot_client
from bot_client.draft import recorded_call
from bot_client.policy import deadline_ms, policy_of, require_provider
from bot_client.status import provider_statuses
from bot_client.testing.fake import PROVIDERS
from bot_client.turnstile import PER_TURN, Turnstile
from understudy.contracts import KINDS
from understudy.contracts.call import CallOptions, Spend
from understudy.errors import InvalidRequest, VersionMismatch
from understudy.state.health import Breaker, Forced, Queue, Snapshot
from understudy.state.record import Record

FREE, PAID = PROVIDERS
MODERATION = KINDS["moderation"]


async def test_a_crowd_passes_a_few_in_each_turn_and_in_order() -> None:
    turnstile, passed = Turnstile(), []

    async def pass_through(i: int) -> None:
        await turnstile.turn()
        passed.append(i)

    tasks = [asyncio.ensure_future(pass_through(i)) for i in range(PER_TURN * 3)]
    await asyncio.sleep(0)
    assert len(passed) == PER_TURN
    tasks[PER_TURN].cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert passed == [i for i in range(PER_TURN * 3) if i != PER_TURN]
    async with asyncio.timeout(5):
        await turnstile.turn()


@pytest.mark.parametrize(
    ("providers", "options", "field"),
    [
        ((PAID,), CallOptions(spend=Spend.NEVER), "spend is never"),
        ((PAID,), CallOptions(local_only=True), "local_only is true, but no provider"),
        ((FREE, PAID), CallOptions(local_only=True, spend=Spend.NEVER), None),
        ((FREE, PAID), CallOptions(), None),
        ((FREE, PAID), CallOptions(only="openai"), None),
        ((FREE, PAID), CallOptions(only="opnai"), "only is not a provider of the settings; known are ollama, openai"),
        ((FREE, PAID), CallOptions(only="openai", spend=Spend.NEVER), "spend is never, but only names openai"),
        ((FREE, PAID), CallOptions(only="openai", local_only=True), "local_only is true, but only names openai"),
    ],
)
def test_options_that_leave_no_provider_are_refused_by_name(
    providers: tuple[object, ...], options: CallOptions, field: str | None
) -> None:
    policy = policy_of(MODERATION, options)
    if field is None:
        require_provider(providers, policy)  # type: ignore[arg-type]
        return
    with pytest.raises(InvalidRequest, match=f"call: {field}"):
        require_provider(providers, policy)  # type: ignore[arg-type]


def test_a_deadline_is_the_kinds_own_unless_given_and_never_nothing() -> None:
    assert deadline_ms(MODERATION, CallOptions()) == 30_000
    assert deadline_ms(MODERATION, CallOptions(deadline_s=1.5)) == 1_500
    assert deadline_ms(MODERATION, CallOptions(deadline_s=1e-9)) == 1


def test_a_provider_status_tells_what_routing_knows() -> None:
    seen = Snapshot(
        now=10_000,
        breakers={"ollama": Breaker(state="open", until=14_000, why="refused")},
        queues={"ollama": Queue(depth=3, oldest_ms=2_500), "openai": Queue(concurrency=16)},
        forced=Forced("openai", "ann", "update", 60_000),
        preferred="openai",
    )
    free, paid = provider_statuses(PROVIDERS, seen)
    assert (free.breaker, free.why, free.retry_in_s, free.queue_depth, free.oldest_s) == (
        "open",
        "refused",
        4.0,
        3,
        2.5,
    )
    assert (free.concurrency, free.preferred, free.forced) == (0, False, None)
    assert (paid.breaker, paid.retry_in_s, paid.concurrency, paid.preferred) == ("closed", None, 16, True)
    assert paid.forced == seen.forced


@pytest.mark.parametrize(("kind", "request_"), [("translation", "{}"), ("moderation", '{"txt":"x"}')])
def test_a_record_of_another_version_is_refused_as_such(kind: str, request_: str) -> None:
    record = Record("c", "Q", kind, request_, CallOptions(), 0, 0, "ollama", "ollama")
    with pytest.raises(VersionMismatch):
        recorded_call(record, "box")


def test_every_public_name_is_there() -> None:
    assert all(getattr(bot_client, name) for name in bot_client.__all__)
    assert set(bot_client.__all__) <= set(dir(bot_client))
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        bot_client.Nothing  # noqa: B018 - reading it is the test


def test_the_pytest_plugin_loads_neither_celery_nor_redis_nor_pydantic() -> None:
    script = (
        "import sys, bot_client.testing.plugin;"
        "print([m for m in ('celery', 'kombu', 'redis', 'pydantic', 'understudy') if m in sys.modules])"
    )
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert loaded.stdout.strip() == "[]"
    bot = "import sys, bot_client.client, bot_client.sync, bot_client.testing.fake; print('pytest' in sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", bot], capture_output=True, text=True, check=True)
    assert loaded.stdout.strip() == "False"
