"""When a request leaves, when its clocks start, and when the next one may leave: over real sockets."""

from __future__ import annotations

import asyncio
import gc
import time
import weakref
from typing import TYPE_CHECKING

import pytest

from tests.support.chat_parts import GOOD, Ask, Asked, RawServer, answer, chunk, provider_at, stream
from tests.support.polling import aeventually
from tests.support.ports import free_port
from workers.failures import ProviderFailure, row
from workers.limits import Limits
from workers.screening import ScreenPrompt
from workers.stand_in.fate import Fate
from workers.stand_in.server import StandIn

if TYPE_CHECKING:
    from workers.chat import Chat

LONG = Limits(60.0, 60.0, 60.0)


class Door:
    """Admits as many at once as it has places."""

    def __init__(self, places: asyncio.Semaphore, limits: Limits = LONG) -> None:
        self.places = places
        self.limits = limits
        self.asked_for = asyncio.Event()
        self.admitted_at: list[float] = []
        self.is_within = False

    async def admit(self) -> Limits:
        self.asked_for.set()
        await self.places.acquire()
        self.admitted_at.append(time.monotonic())
        self.is_within = True
        return self.limits

    def release(self) -> None:
        if self.is_within:
            self.is_within = False
            self.places.release()


async def test_nothing_is_sent_and_no_clock_runs_before_a_request_is_admitted(chat: Chat) -> None:
    door = Door(asyncio.Semaphore(0))
    async with RawServer(lambda asked: GOOD if asked.body else answer(200, {})) as server:
        began = time.monotonic()
        asking = asyncio.create_task(chat.complete(provider_at(server.base_url), Ask(), admission=door))
        await door.asked_for.wait()
        await chat.ping(provider_at(server.base_url), timeout_s=20)
        assert len(server.asked) == 1
        door.places.release()
        reply = await asking
    waited_ms = (door.admitted_at[0] - began) * 1000
    assert reply.ms <= (time.monotonic() - began) * 1000 - waited_ms + 1
    assert reply.first_byte_ms <= reply.ms
    assert not door.is_within


async def test_the_time_before_it_is_admitted_is_in_no_time_limit(chat: Chat) -> None:
    class Slow(Door):
        async def admit(self) -> Limits:
            await asyncio.sleep(2 * self.limits.total_s)
            return await super().admit()

    door = Slow(asyncio.Semaphore(1), Limits(0.2, 0.2, 0.2))
    async with StandIn(fate=Fate(silence=True)) as stand_in:
        with pytest.raises(ProviderFailure) as failed:
            await chat.complete(provider_at(stand_in.base_url), Ask(), admission=door)
        assert stand_in.counts["chat"]["total"] == 1
    assert (failed.value.row.name, failed.value.requests) == ("no_first_byte", 1)
    assert not door.places.locked()


async def test_no_more_requests_are_under_way_than_there_are_places(chat: Chat) -> None:
    places = asyncio.Semaphore(3)
    async with StandIn(fate=Fate(latency_ms=20)) as stand_in:
        provider = provider_at(stand_in.base_url)
        await asyncio.gather(*(chat.complete(provider, Ask(), admission=Door(places)) for _ in range(30)))
        chats = stand_in.counts["chat"]
    assert (chats["total"], chats["peak"]) == (30, 3)
    assert places._value == 3


async def test_the_next_request_leaves_with_the_last_byte_though_the_connection_stays_open(chat: Chat) -> None:
    asked = []

    async def never_closes(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(GOOD)
        await reader.read()  # until the client leaves
        writer.close()

    door = Door(asyncio.Semaphore(1))
    server = await asyncio.start_server(never_closes, "127.0.0.1", 0)
    async with server:
        provider = provider_at(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1")
        first = asyncio.create_task(chat.complete(provider, Ask(), admission=door))
        await aeventually(lambda: asked)
        await door.places.acquire()
        assert not first.done()
        assert (await first).text == "good"


@pytest.mark.parametrize(
    ("response", "name"),
    [
        (answer(503, {"error": {"message": "busy"}}), "overloaded"),
        (stream(chunk("half")), "cut"),
        (answer(200, b"no json"), "cut"),
    ],
    ids=["status", "cut", "malformed"],
)
async def test_a_request_that_fails_gives_its_place_back(chat: Chat, response: bytes, name: str) -> None:
    door = Door(asyncio.Semaphore(1))
    async with RawServer(lambda _: response) as server:
        with pytest.raises(ProviderFailure) as failed:
            await chat.complete(provider_at(server.base_url), Ask(), admission=door)
    assert failed.value.row.name == name
    assert not door.is_within
    assert not door.places.locked()


async def test_a_request_that_reaches_nobody_gives_its_place_back_and_counts_as_none(chat: Chat) -> None:
    door = Door(asyncio.Semaphore(1))
    with pytest.raises(ProviderFailure) as failed:
        await chat.complete(provider_at(f"http://127.0.0.1:{free_port()}/v1"), Ask(), admission=door)
    assert (failed.value.row.name, failed.value.requests) == ("refused", 0)
    assert not door.places.locked()


async def test_a_request_that_is_cancelled_gives_its_place_back(chat: Chat) -> None:
    door = Door(asyncio.Semaphore(1))
    async with StandIn(fate=Fate(silence=True)) as stand_in:
        asking = asyncio.create_task(chat.complete(provider_at(stand_in.base_url), Ask(), admission=door))
        await aeventually(lambda: stand_in.counts["chat"]["now"])
        asking.cancel()
        await asyncio.wait([asking])
    assert not door.places.locked()


async def test_one_that_is_cancelled_while_it_waits_was_never_there(chat: Chat) -> None:
    door = Door(asyncio.Semaphore(0))
    async with RawServer(lambda _: GOOD) as server:
        asking = asyncio.create_task(chat.complete(provider_at(server.base_url), Ask(), admission=door))
        await door.asked_for.wait()
        asking.cancel()
        await asyncio.wait([asking])
        assert not server.asked
    assert door.places.locked()


@pytest.mark.parametrize("local", [True, False])
async def test_what_refuses_a_request_reaches_its_caller_and_nothing_is_sent(chat: Chat, local: bool) -> None:
    refusal = ProviderFailure(row("caller_deadline"), "no time was left to ask", requests=0)

    class Shut(Door):
        async def admit(self) -> Limits:
            raise refusal

    async with RawServer(lambda _: GOOD) as server:
        provider = provider_at(server.base_url, name="ollama" if local else "openai")
        with pytest.raises(ProviderFailure) as refused:
            await chat.complete(provider, Ask(), admission=Shut(asyncio.Semaphore(1)))
        assert refused.value is refusal
        assert not server.asked
        assert (await chat.complete(provider, Ask(), admission=Door(asyncio.Semaphore(1)))).text == "good"


async def test_a_request_that_is_sent_again_in_another_dialect_keeps_its_place(chat: Chat) -> None:
    def plainer(asked: Asked) -> bytes:
        if "temperature" not in asked.body:
            return GOOD
        error = {"message": "Unsupported parameter: 'temperature'", "param": "temperature"}
        return answer(400, {"error": error | {"code": "unsupported_parameter"}})

    door = Door(asyncio.Semaphore(1))
    async with RawServer(plainer) as server:
        reply = await chat.complete(provider_at(server.base_url), Ask(), temperature=0.1, admission=door)
    assert (reply.text, reply.requests, len(server.asked)) == ("good", 2, 2)
    assert len(door.admitted_at) == 1
    assert not door.places.locked()


async def test_a_screening_is_admitted_too(chat: Chat) -> None:
    door = Door(asyncio.Semaphore(0))
    async with StandIn() as stand_in:
        prompt = ScreenPrompt(messages=[{"role": "user", "content": "hello"}])
        asking = asyncio.create_task(chat.complete(provider_at(stand_in.base_url), prompt, admission=door))
        await door.asked_for.wait()
        assert not stand_in.counts["chat"]["total"]
        door.places.release()
        assert (await asking).text
    assert door.places._value == 1


async def test_a_request_that_is_redirected_is_admitted_and_counted_once_and_its_key_stays_at_home(chat: Chat) -> None:
    door = Door(asyncio.Semaphore(1))
    async with RawServer(lambda _: GOOD) as other:
        moved = answer(307, {}, "application/json", f"Location: {other.base_url}/chat/completions")
        async with RawServer(lambda _: moved) as server:
            reply = await chat.complete(provider_at(server.base_url), Ask(), admission=door)
    assert (reply.text, reply.requests, len(door.admitted_at)) == ("good", 1, 1)
    assert server.asked[0].headers["authorization"] == "Bearer sk-test-key"
    assert "authorization" not in other.asked[0].headers
    assert door.places._value == 1


async def test_an_open_connection_keeps_nothing_of_the_request_that_made_it(chat: Chat) -> None:
    class Kept(dict[str, str]):
        """A message that can be seen to be gone."""

    async with StandIn() as stand_in:
        message = Kept(role="user", content="hello")
        gone = weakref.ref(message)
        await chat.complete(provider_at(stand_in.base_url), Ask(messages=[message]), timeout_s=20)
        del message
        gc.collect()
        assert gone() is None
