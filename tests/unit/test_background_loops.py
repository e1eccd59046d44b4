"""What runs beside the calls runs for ever: no error of one turn, expected or not, ends it."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

from tests.support.health import OLLAMA, out, seen
from tests.support.polling import aeventually
from understudy.settings import load_settings
from understudy.state.keys import Keys
from understudy.state.view import FRESH_S, STALE_S, View
from workers import heartbeat, leases, prober
from workers.context import Context
from workers.heartbeat import Heartbeat
from workers.leases import Lease, Leases
from workers.prober import Prober

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from understudy.state.ledger import Ledger
    from understudy.state.workers import Workers

ERRORS = [RedisConnectionError("away"), OSError("broken"), RuntimeError("a bug"), ValueError("another")]


class Stumbles:
    """An operation that fails in each way once, and then works."""

    def __init__(self, result: Any = None) -> None:
        self.errors = list(ERRORS)
        self.result = result
        self.worked = 0

    async def __call__(self, *_: Any, **__: Any) -> Any:
        if self.errors:
            raise self.errors.pop(0)
        self.worked += 1
        return self.result


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "RENEW_S", 0.001)
    monkeypatch.setattr(heartbeat, "BEAT_S", 0.001)
    monkeypatch.setattr(prober, "PROBE_S", 0.001)


async def works(loop: Coroutine[Any, Any, None], operation: Stumbles) -> None:
    task = asyncio.create_task(loop)
    await aeventually(lambda: operation.worked > 1 or task.done())
    assert not task.done()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_leases_are_renewed_after_any_error() -> None:
    renew = Stumbles(["ok"])
    held = Leases(cast("Ledger", SimpleNamespace(renew=renew)))
    held.hold(Lease("c1", 1, "1-1", "ollama", "m"))
    await works(held.run(), renew)


async def test_a_lease_whose_holder_cannot_be_stopped_does_not_keep_the_others_from_being_told() -> None:
    stopped: list[str] = []

    def fails() -> None:
        raise RuntimeError("a bug")

    async def renew(_: object) -> list[str]:
        return ["lost", "cancelled"]

    held = Leases(cast("Ledger", SimpleNamespace(renew=renew)))
    held.hold(Lease("c1", 1, "1-1", "ollama", "m", on_gone=fails))
    held.hold(Lease("c2", 2, "2-1", "ollama", "m", on_gone=lambda: stopped.append("c2")))
    for _ in range(2):
        try:
            await held.renew()
        except RuntimeError:
            continue
    assert stopped == ["c2"]


async def test_a_worker_is_announced_after_any_error() -> None:
    beat = Stumbles()
    beats = Heartbeat(cast("Workers", SimpleNamespace(beat=beat)), "w1")
    beats.consuming(["ollama"], 4)
    await works(beats.run(), beat)


def prober_with(elect: Any, ping: Any = None) -> Prober:
    async def seen_now() -> Any:
        return seen(ollama=out(60_000))

    parts = SimpleNamespace(
        seen=seen_now,
        providers=(OLLAMA,),
        settings=load_settings(env_file=None),
        worker_id="w1",
        ledger=SimpleNamespace(keys=Keys(), elect=elect),
        chat=SimpleNamespace(ping=ping),
        health=SimpleNamespace(probed=Stumbles("open")),
    )
    return Prober(cast("Context", parts))


async def test_the_prober_goes_on_after_any_error() -> None:
    elect = Stumbles(result=False)
    await works(prober_with(elect).run(), elect)


async def test_a_probe_that_breaks_is_not_left_to_the_garbage_collector() -> None:
    unhandled: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, about: unhandled.append(about))
    ping = Stumbles()
    elect = Stumbles(result=True)
    elect.errors.clear()
    parts = prober_with(elect, ping)
    task = asyncio.create_task(parts.run())
    await aeventually(lambda: not ping.errors)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    import gc

    gc.collect()
    await asyncio.sleep(0)
    assert unhandled == []


async def test_the_health_that_is_known_serves_while_redis_is_away_or_answers_nonsense() -> None:
    snapshot = Stumbles(seen())
    view = View(cast("Any", SimpleNamespace(snapshot=snapshot)))
    for _ in ERRORS:
        view._seen_at = -STALE_S
        assert (await view.known()).now == 0
    view._seen_at = -STALE_S
    assert (await view.known()).now > 0


async def test_the_health_is_read_beside_the_calls_and_before_one_only_when_it_is_stale() -> None:
    snapshot = Stumbles(seen())
    snapshot.errors.clear()
    view = View(cast("Any", SimpleNamespace(snapshot=snapshot)))
    first = await view.latest()
    assert await view.latest() is first
    view._seen_at -= FRESH_S  # no longer fresh: it still serves, while it is read anew
    before = view._seen_at
    assert await view.latest() is first
    await aeventually(lambda: view._seen_at > before)
    snapshot.errors.append(ConnectionError())
    view._seen_at -= FRESH_S
    assert await view.latest() is first  # what goes wrong beside the calls is theirs only when they must read
    await view.aclose()
    snapshot.errors.append(ConnectionError())
    view._seen_at -= STALE_S
    with pytest.raises(ConnectionError):
        await view.latest()


async def test_a_script_that_is_wrong_is_not_repeated_for_ever() -> None:
    from redis.exceptions import OutOfMemoryError, ResponseError

    context = Context(*[cast("Any", None)] * 9)
    tried: list[type[Exception]] = []

    async def operation() -> str:
        errors = [OutOfMemoryError("OOM command not allowed"), ResponseError("MISCONF no disk"), RedisError("?")]
        if len(tried) < len(errors):
            tried.append(type(errors[len(tried)]))
            raise errors[len(tried) - 1]
        return "done"

    assert await context.insist(operation) == "done"

    async def wrong() -> str:
        raise ResponseError(
            "WRONGTYPE Operation against a key holding the wrong kind of value script: 1, on @user_script:3."
        )

    async with asyncio.timeout(5):
        with pytest.raises(ResponseError):
            await context.insist(wrong)
