"""The address at which a stand-in is steered while it runs; always on loopback."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from aiohttp import web

from workers.stand_in.fate import Fate, FateError
from workers.stand_in.port import Port

if TYPE_CHECKING:
    from workers.stand_in.server import StandIn

HOST: Final = "127.0.0.1"


class Admin:
    """`GET`, `PUT /fate`; `GET`, `DELETE /counts`, with `?records=no` leaving out single requests; `GET /healthz`.

    Args:
        stand_in: the one to steer.
        port: 0 takes a free one.
    """

    def __init__(self, stand_in: StandIn, port: int = 0) -> None:
        self._stand_in = stand_in
        self._port = Port(HOST, port)
        app = web.Application()
        app.router.add_get("/fate", self._get_fate)
        app.router.add_put("/fate", self._put_fate)
        app.router.add_get("/counts", self._get_counts)
        app.router.add_delete("/counts", self._delete_counts)
        app.router.add_get("/healthz", self._healthz)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0)

    @property
    def url(self) -> str:
        """The address, without a path."""
        return f"http://{self._port.authority}"

    async def start(self) -> None:
        """Listen.

        Raises:
            PortError: the port cannot be had.
        """
        self._port.hold()
        await self._runner.setup()
        server = self._runner.server
        if server is None:
            raise RuntimeError("aiohttp set up no server")
        await self._port.listen(server)

    async def stop(self) -> None:
        """Stop listening."""
        self._port.release()
        await self._runner.cleanup()

    async def _get_fate(self, _: web.Request) -> web.Response:
        return web.json_response(self._stand_in.fate.to_json())

    async def _put_fate(self, request: web.Request) -> web.Response:
        try:
            fate = Fate.from_json(json.loads(await request.read()))
        except FateError as error:
            return web.json_response({"error": str(error)}, status=422)
        except ValueError:
            return web.json_response({"error": "a fate must be a JSON object"}, status=400)
        await self._stand_in.set_fate(fate)
        return web.json_response(fate.to_json())

    async def _get_counts(self, request: web.Request) -> web.Response:
        without = request.query.get("records") == "no"
        return web.json_response(self._stand_in.totals() if without else self._stand_in.counts)

    async def _delete_counts(self, _: web.Request) -> web.Response:
        self._stand_in.clear_counts()
        return web.Response(status=204)

    async def _healthz(self, _: web.Request) -> web.Response:
        return web.json_response({"name": self._stand_in.name, "base_url": self._stand_in.base_url, "ok": True})
