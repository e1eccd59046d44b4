"""The stand-in itself: a server that answers like a provider, or fails like one."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final, Self

from aiohttp import StreamReader, web

from workers.stand_in.api import Api
from workers.stand_in.counts import Counts
from workers.stand_in.draw import Draw
from workers.stand_in.fate import Fate
from workers.stand_in.port import Port, PortError

if TYPE_CHECKING:
    from types import TracebackType

    from aiohttp.abc import AbstractStreamWriter
    from aiohttp.http import RawRequestMessage

# The text of a call has some hundred kilobytes at most; this much is a mistake.
MAX_BODY_BYTES: Final = 32 * 1024 * 1024


class StandIn:
    """An OpenAI-compatible provider without a model, with a few of Ollama's own addresses.

    Args:
        name: whose place it takes; sent with every answer.
        model: the one it lists; it answers under any name it is asked by.
        fate: what goes wrong, until `set_fate`.
        host: the address to listen on; a stand-in asks nobody for a key, so keep to loopback.
        port: 0 takes a free one.
        seed: of every draw.
    """

    def __init__(
        self,
        name: str = "ollama",
        model: str = "llama3.2",
        fate: Fate | None = None,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        seed: int = 0,
    ) -> None:
        self.name = name
        self.model = model
        self._seed = seed
        self._port = Port(host, port)
        self._api = Api(name, model, Draw(fate or Fate(), seed), Counts())
        self._http: web.Server | None = None

    @property
    def base_url(self) -> str:
        """The address that clients use, ending in `/v1`."""
        return f"http://{self._port.authority}/v1"

    @property
    def fate(self) -> Fate:
        """What happens to requests now."""
        return self._api.draw.fate

    @property
    def counts(self) -> dict[str, Any]:
        """What has come in: `paths`, `chat` and the `records` of single requests."""
        return self._api.counts.to_json()

    def totals(self) -> dict[str, Any]:
        """The counts without the records."""
        return self._api.counts.to_json(records=False)

    def clear_counts(self) -> None:
        """Count from nothing."""
        self._api.counts.clear()

    async def start(self) -> None:
        """Listen, or hold the port where the fate is to refuse.

        Raises:
            PortError: the port cannot be had.
        """
        self._port.hold()
        self._http = web.Server(
            self._api.handle, request_factory=_request, handler_cancellation=True, access_log=None, lingering_time=0
        )
        if self.fate.refuse:
            return
        try:
            await self._port.listen(self._http)
        except PortError:
            self._port.release()
            raise

    async def stop(self) -> None:
        """Drop every connection and give the port back."""
        self._port.release()
        await self._hang_up()
        self._http = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def set_fate(self, fate: Fate) -> None:
        """Replace the fate: for requests from now on, and at once where it is to refuse."""
        self._api.draw = Draw(fate, self._seed)
        self._api.memory.unload()
        if self._http is None:
            return
        if fate.refuse:
            self._port.shut()
            await self._hang_up()
        else:
            await self._port.listen(self._http)

    async def _hang_up(self) -> None:
        if self._http is None:
            return
        self._api.hanging_up = True
        try:
            while self._http.connections:
                for connection in self._http.connections:
                    if connection.transport is not None:
                        connection.transport.abort()
                # Each loses its connection, which cancels its handler, in the loop's next rounds.
                await asyncio.sleep(0)
        finally:
            self._api.hanging_up = False


def _request(
    message: RawRequestMessage,
    payload: StreamReader,
    protocol: web.RequestHandler,
    writer: AbstractStreamWriter,
    task: asyncio.Task[None],
) -> web.BaseRequest:
    loop = asyncio.get_running_loop()
    return web.BaseRequest(message, payload, protocol, writer, task, loop, client_max_size=MAX_BODY_BYTES)
