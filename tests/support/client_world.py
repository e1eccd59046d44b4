"""A client and the script that its calls follow: the real one with a real Redis, or the one in memory."""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bot_client import UnknownCall
from bot_client.testing import FakeUnderstudy
from tests.support.clients import client_of
from tests.support.scripted_worker import ScriptedWorker
from understudy.contracts.ids import call_id_for

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    import pytest

    from bot_client import Client

KINDS_OF_CLIENT = ("real", "fake")


@dataclass
class World:
    """A client, its script, and how the bot gets another client after a restart."""

    llm: Client
    script: ScriptedWorker | FakeUnderstudy
    another: Callable[[], Awaitable[Client]]

    async def restart(self) -> None:
        """The bot stops and starts again."""
        await self.llm.aclose()
        self.llm = await self.another()

    @property
    def opened(self) -> int:
        """How many calls there were."""
        return len(self.script.calls if isinstance(self.script, FakeUnderstudy) else self.script.taken)


@asynccontextmanager
async def world_of(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    """The world that a fixture's parameter names."""
    async with AsyncExitStack() as stack:
        if request.param == "fake":
            fake = await stack.enter_async_context(FakeUnderstudy())
            yield World(fake, fake, fake.start)
            return
        url = request.getfixturevalue("redis_url")
        worker = await stack.enter_async_context(ScriptedWorker(url))

        async def another() -> Client:
            return await stack.enter_async_context(client_of(url))

        yield World(await another(), worker, another)


async def is_running(llm: Client, kind: str, key: str) -> bool:
    """Whether the call of a key has been begun."""
    try:
        return (await llm._status(call_id_for(kind, key))).state == "running"
    except UnknownCall:
        return False
