"""What the page's routes answer: each asks for Flower's own login, and only `Act` changes anything."""

from __future__ import annotations

import json
import logging
import traceback
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, NoReturn

from flower.views import BaseHandler
from tornado.web import Finish, HTTPError, RequestHandler, StaticFileHandler, authenticated

from understudy.errors import InvalidRequest, Unavailable, UnderstudyError, UnknownCall
from workers.flower_page.acting import MAX_BODY, read_action
from workers.flower_page.installation import SETTING
from workers.flower_page.visitor import Visitor, basic_login, is_foreign, is_misled, local_login, visitor

if TYPE_CHECKING:
    from types import TracebackType

    from workers.flower_page.installation import Installation

logger = logging.getLogger(__name__)

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self';"
    " connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Everything comes from this server; Bootstrap's style sheet has its pictures in itself."""

HEADERS = {
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "Cache-Control": "no-store",
}
"""Flower itself sends `X-Content-Type-Options` alone."""

MISLED = "Without a login this is shown under localhost or 127.0.0.1 alone."

STATUSES: tuple[tuple[type[UnderstudyError], int], ...] = (
    (Unavailable, 503),
    (UnknownCall, 404),
    (InvalidRequest, 400),
    (UnderstudyError, 409),
)


class Guarded(BaseHandler):
    """A handler that asks for Flower's login, and says so in its own headers."""

    def set_default_headers(self) -> None:
        """Flower's, without those that would let foreign pages read, and ours."""
        super().set_default_headers()
        for name in [name for name, _ in self._headers.get_all() if name.startswith("Access-Control-")]:
            self.clear_header(name)
        for name, value in HEADERS.items():
            self.set_header(name, value)

    def get_current_user(self) -> Any:
        """As Flower decides it; what its comparison cannot take is nobody's login."""
        try:
            return super().get_current_user()
        except TypeError:
            raise HTTPError(401) from None

    def prepare(self) -> None:
        """Nothing where nobody is asked for a login, and the browser was sent here under a foreign name."""
        options = self.application.options
        if not options.basic_auth and not options.auth and is_misled(self.request.headers):
            raise HTTPError(403, reason=MISLED)

    @property
    def visitor(self) -> Visitor:
        """Who looks; only for a request that is signed in."""
        user = self.current_user
        if isinstance(user, str):
            who: str | None = user
        elif self.application.options.basic_auth:
            who = basic_login(self.request.headers.get("Authorization", ""))
        else:
            who = local_login(self.request.headers)
        return visitor(who, self.installation.settings.understudy_operators)

    @property
    def installation(self) -> Installation:
        """What the page shows."""
        found: Installation = self.settings[SETTING]
        return found


class Page(Guarded):
    """The page; its script asks for the rest."""

    @authenticated
    def get(self) -> None:
        """The page itself, and the cookie that its script sends back with each action."""
        self.render("providers.html")


class Static(Guarded, StaticFileHandler):
    """The page's style sheet and script."""

    def prepare(self) -> None:
        """Nothing without a login."""
        super().prepare()
        if not self.current_user:
            raise HTTPError(401)

    def set_extra_headers(self, path: str) -> None:  # noqa: ARG002 - tornado's own hook
        """A file is asked for again each time, and not sent again while it is the same."""
        self.set_header("Cache-Control", "private, no-cache")


class Api(Guarded):
    """JSON in both directions, errors too: `{"error": sentence}`."""

    def prepare(self) -> None:
        """Nothing without a login."""
        super().prepare()
        if not self.current_user:
            self.refuse(401, "Sign in to Flower first.")

    def check_xsrf_cookie(self) -> None:
        """`Act` looks at the token itself, whatever Flower's settings say."""

    def refuse(self, status: int, sentence: str) -> NoReturn:
        """End the request with a sentence that says why."""
        self.set_status(status)
        self.answer({"error": sentence})
        raise Finish

    def answer(self, document: dict[str, Any]) -> None:
        """End the request with a document."""
        self.set_header("Content-Type", "application/json; charset=UTF-8")
        self.finish(json.dumps(document, ensure_ascii=False, separators=(",", ":")).replace("</", "<\\/"))

    def refuse_for(self, error: UnderstudyError) -> NoReturn:
        """End the request with what an error says."""
        self.refuse(next(status for kind, status in STATUSES if isinstance(error, kind)), str(error))

    def write_error(self, status_code: int, **_: Any) -> None:
        """Errors that tornado or Flower raise, in words of ours: theirs may hold a traceback."""
        self.set_status(status_code)
        if status_code == 401 and self.application.options.basic_auth:
            self.set_header("WWW-Authenticate", 'Basic realm="flower"')
        sentences = {401: "Sign in to Flower first.", 403: MISLED, 405: f"{self.request.method} is not possible here."}
        self.answer({"error": sentences.get(status_code) or f"{HTTPStatus(status_code).phrase}."})

    def log_exception(
        self, typ: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None
    ) -> None:
        """What went wrong here, and where: the message of an error may quote what a user wrote."""
        if isinstance(value, HTTPError):
            super().log_exception(typ, value, tb)
            return
        name, place = typ.__name__ if typ else "?", traceback.extract_tb(tb)[-1] if tb else None
        where = f" at {place.filename}:{place.lineno}" if place else ""
        logger.error("%s %s failed: %s%s", self.request.method, self.request.path, name, where)


class Overview(Api):
    """Everything that the page shows at first."""

    async def get(self) -> None:
        """The document."""
        try:
            self.answer(await self.installation.overview(self.visitor))
        except UnderstudyError as error:
            self.refuse_for(error)


class Call(Api):
    """One call: where it is, why it waits, what was tried."""

    async def get(self, call_id: str) -> None:
        """The document."""
        try:
            self.answer(await self.installation.call(call_id))
        except UnderstudyError as error:
            self.refuse_for(error)


class Cause(Api):
    """The calls that failed for one reason, and what running them again could cost: `?cost=no` leaves that out."""

    async def get(self, reason: str) -> None:
        """The document."""
        try:
            self.answer(await self.installation.cause(reason, cost=self.get_query_argument("cost", "") != "no"))
        except UnderstudyError as error:
            self.refuse_for(error)


class Act(Api):
    """The one that changes things."""

    def prepare(self) -> None:
        """A login, an operator, our own page, and its token: in this order, so that the answer says what is missing."""
        super().prepare()
        if self.request.method != "POST":
            return
        if self.visitor.why_not:
            self.refuse(403, self.visitor.why_not)
        if is_foreign(self.request.headers):
            self.refuse(403, "Actions are taken on Flower's own page only.")
        self._check_token()
        if self.request.headers.get("Content-Type", "").partition(";")[0].strip().lower() != "application/json":
            self.refuse(415, "The body must be JSON, and its Content-Type application/json.")
        if len(self.request.body) > MAX_BODY:
            self.refuse(413, f"The body must have at most {MAX_BODY:,} bytes.")

    def _check_token(self) -> None:
        """The header alone counts: an address or a form can be made by others."""
        sentence = "The action has no valid token in its header X-XSRFToken: load the page again."
        if not self.request.headers.get("X-Xsrftoken") or self.get_query_arguments("_xsrf"):
            self.refuse(403, sentence)
        try:
            # Not Flower's own: it asks for a token only where people sign in by OAuth.
            RequestHandler.check_xsrf_cookie(self)
        except HTTPError:
            self.refuse(403, sentence)

    async def post(self) -> None:
        """Take one action."""
        who = self.visitor.who
        assert who is not None  # prepared  # noqa: S101
        try:
            self.answer({"done": await self.installation.act(read_action(self.request.body), who)})
        except UnderstudyError as error:
            self.refuse_for(error)
