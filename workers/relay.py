"""A relay in front of a real provider, which can be cut: so that the provider itself is never touched."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from typing import Final

import aiohttp
import click
from aiohttp import web

from workers.stand_in import wire
from workers.stand_in.port import Port, PortError

HOST: Final = "127.0.0.1"
MAX_BODY_BYTES: Final = 32 * 1024 * 1024
CHAT: Final = "/v1/chat/completions"
# Each belongs to one connection or is made anew.
_OWN = frozenset(
    {"host", "connection", "keep-alive", "transfer-encoding", "content-length", "content-encoding", "accept-encoding"}
)


class Relay:
    """Passes requests on to a provider as they are, and counts them; cut, it refuses connections.

    Args:
        to: the provider's base URL.
        port: 0 takes a free one.
    """

    def __init__(self, to: str, port: int = 0) -> None:
        self._to = to
        self._port = Port(HOST, port)
        self._session: aiohttp.ClientSession | None = None
        self._http: web.Server | None = None
        self.cut = False
        self.total = self.probes = 0

    @property
    def base_url(self) -> str:
        """The address that clients use, ending in `/v1`."""
        return f"http://{self._port.authority}/v1"

    async def start(self) -> None:
        """Listen.

        Raises:
            PortError: the port cannot be had.
        """
        # The limits of an attempt are its worker's; a relay has none. A proxy of the environment is used as it is set.
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None), trust_env=True)
        self._http = web.Server(
            self._handle, request_factory=_request, handler_cancellation=True, access_log=None, lingering_time=0
        )
        self._port.hold()
        await self._port.listen(self._http)

    async def stop(self) -> None:
        """Drop every connection and give the port back."""
        self._port.release()
        await self._hang_up()
        if self._session:
            await self._session.close()

    async def set_cut(self, cut: bool) -> None:
        """Cut it, or join it again."""
        self.cut = cut
        if cut:
            self._port.shut()
            await self._hang_up()
        elif self._http:
            await self._port.listen(self._http)

    async def _hang_up(self) -> None:
        while self._http and self._http.connections:
            for connection in self._http.connections:
                if connection.transport is not None:
                    connection.transport.abort()
            await asyncio.sleep(0)

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        if self._session is None or not request.path.startswith("/v1/"):
            return web.Response(status=404)
        if request.path == CHAT:
            probe = request.headers.get("X-Understudy-Probe") == "1"
            self.probes, self.total = self.probes + probe, self.total + (not probe)
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _OWN}
        url = self._to + request.path_qs.removeprefix("/v1")
        body = await request.read() or None
        try:
            async with self._session.request(
                request.method, url, headers=headers, data=body, allow_redirects=False
            ) as answer:
                kept = {name: value for name, value in answer.headers.items() if name.lower() not in _OWN}
                response = web.StreamResponse(status=answer.status, headers=kept)
                await response.prepare(request)
                async for chunk in answer.content.iter_any():
                    await response.write(chunk)
                await response.write_eof()
                return response
        except aiohttp.ClientError:
            # As the provider's own connection did.
            if request.transport is not None:
                request.transport.abort()
            await wire.forever()
            raise


class RelayAdmin:
    """`PUT /fate` with `{"refuse": true}` or `{}`, and `GET /counts`: the part of a stand-in's that a relay can do."""

    def __init__(self, relay: Relay, port: int = 0) -> None:
        self._relay = relay
        self._port = Port(HOST, port)
        app = web.Application()
        app.router.add_put("/fate", self._put_fate)
        app.router.add_get("/counts", self._get_counts)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0)

    @property
    def url(self) -> str:
        """The address, without a path."""
        return f"http://{self._port.authority}"

    async def start(self) -> None:
        """Listen."""
        self._port.hold()
        await self._runner.setup()
        if self._runner.server is None:
            raise RuntimeError("aiohttp set up no server")
        await self._port.listen(self._runner.server)

    async def stop(self) -> None:
        """Stop listening."""
        self._port.release()
        await self._runner.cleanup()

    async def _put_fate(self, request: web.Request) -> web.Response:
        try:
            fate = json.loads(await request.read())
        except ValueError:
            fate = None
        if not isinstance(fate, dict) or set(fate) - {"refuse"} or not isinstance(fate.get("refuse", False), bool):
            return web.json_response({"error": 'a relay knows {"refuse": true} and {} only'}, status=422)
        await self._relay.set_cut(fate.get("refuse", False))
        return web.json_response({"refuse": self._relay.cut})

    async def _get_counts(self, _: web.Request) -> web.Response:
        return web.json_response({"chat": {"total": self._relay.total, "probes": self._relay.probes}})


@click.command()
@click.option("--name", required=True, help="The provider's.")
@click.option("--to", required=True, help="Its base URL.")
@click.option("--port", default=0, type=click.IntRange(0, 65_535), help="0 takes a free one.")
@click.option("--admin-port", default=0, type=click.IntRange(0, 65_535), help="On loopback.")
def main(name: str, to: str, port: int, admin_port: int) -> None:
    """Relay to a provider until SIGTERM; prints one line of JSON as soon as it listens, as a stand-in does."""
    try:
        asyncio.run(_serve(name, Relay(to.rstrip("/"), port), admin_port))
    except PortError as error:
        raise click.ClickException(str(error)) from None


async def _serve(name: str, relay: Relay, admin_port: int) -> None:
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    admin = RelayAdmin(relay, admin_port)
    await relay.start()
    try:
        await admin.start()
        urls = {"base_url": relay.base_url, "admin_url": admin.url}
        click.echo(json.dumps({"name": name} | urls | {"pid": os.getpid()}))
        await stopping.wait()
    finally:
        await admin.stop()
        await relay.stop()


def _request(
    message: aiohttp.http.RawRequestMessage,
    payload: aiohttp.StreamReader,
    protocol: web.RequestHandler,
    writer: aiohttp.abc.AbstractStreamWriter,
    task: asyncio.Task[None],
) -> web.BaseRequest:
    loop = asyncio.get_running_loop()
    return web.BaseRequest(message, payload, protocol, writer, task, loop, client_max_size=MAX_BODY_BYTES)


if __name__ == "__main__":
    main()
