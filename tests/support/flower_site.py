"""Flower's own pages with the page of providers among them, served from this process; what it is told is the test's."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Self

from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application

from tests.support import flower_canned as canned
from understudy.errors import Unavailable, UnknownCall
from workers.flower_page import hook
from workers.flower_page.installation import SETTING

if TYPE_CHECKING:
    import asyncio

    from workers.flower_page.acting import Action
    from workers.flower_page.visitor import Visitor


@dataclass
class Told:
    """In the place of an installation: what the page is told, and what it asked for.

    Args:
        document: everything but who looks and what time it is.
        operators: who may act.
        away: a sentence while Redis does not answer.
        acts: what actions wait for before they are taken or refused.
        holds: answers of the overview that wait for their event, in the order in which they are asked for.
    """

    document: dict[str, Any] = field(default_factory=canned.overview)
    operators: tuple[str, ...] = ("local",)
    away: str = ""
    refuses: str = ""
    calls: dict[str, dict[str, Any]] = field(default_factory=dict)
    causes: dict[str, dict[str, Any]] = field(default_factory=dict)
    holds: list[asyncio.Event] = field(default_factory=list)
    acts: asyncio.Event | None = None
    taken: list[Action] = field(default_factory=list)
    asked: int = 0

    @property
    def settings(self) -> SimpleNamespace:
        """What the handlers read of the settings."""
        return SimpleNamespace(understudy_operators=self.operators)

    async def overview(self, visitor: Visitor) -> dict[str, Any]:
        """What is there at the moment of asking, however late it is told."""
        self.asked += 1
        document = {**copy.deepcopy(self.document), "now": canned.now_ms()}
        away = self.away
        if self.holds:
            await self.holds.pop(0).wait()
        if away:
            raise Unavailable(away)
        return {**document, "who": visitor.who, "may_act": visitor.may_act, "why_not": visitor.why_not}

    async def call(self, call_id: str) -> dict[str, Any]:
        """One call."""
        if call_id not in self.calls:
            raise UnknownCall("No call has this id, or its record has expired (a day after its deadline).")
        return self.calls[call_id]

    async def cause(self, reason: str, *, cost: bool = True) -> dict[str, Any]:
        """The calls of a cause; what they could cost only where it was asked for."""
        found = self.causes.get(reason) or canned.cause(reason, shown=0, total=0)
        return found if cost else {name: value for name, value in found.items() if name != "worst_microusd"}

    async def act(self, action: Action, who: str) -> str:
        """Write the action down."""
        if self.acts:
            await self.acts.wait()
        if self.refuses:
            raise Unavailable(self.refuses)
        self.taken.append(action)
        return f"{action.name} was done by {who}."


class FlowerSite:
    """Serves it on loopback while it is entered, on the running loop.

    Args:
        told: what the page is told.
        prefix: before each of Flower's addresses, as its option `--url_prefix` puts it.
    """

    def __init__(self, told: Told, prefix: str = "") -> None:
        self.told = told
        self.address = ""
        self._prefix = prefix

    async def __aenter__(self) -> Self:
        from flower import urls
        from flower.app import rewrite_handler

        loader = hook.make_loader(urls.settings["template_path"])
        settings = {**urls.settings, "template_loader": loader, SETTING: self.told}
        routes: list[Any] = [*hook.routes(), *urls.handlers]
        if self._prefix:
            routes = [rewrite_handler(route, self._prefix) for route in routes]
        application = Application(routes, **settings)
        application.options = SimpleNamespace(basic_auth=None, auth=None, url_prefix=self._prefix, debug=False)  # type: ignore[attr-defined]
        sockets = bind_sockets(0, address="127.0.0.1")
        self.address = f"http://127.0.0.1:{sockets[0].getsockname()[1]}"
        self._server = HTTPServer(application)
        self._server.add_sockets(sockets)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.stop()
        await self._server.close_all_connections()
