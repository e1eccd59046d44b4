"""Flower as operators run it, `celery -A workers flower`, and somebody who asks it over HTTP."""

from __future__ import annotations

import base64
import http.client
import json
import os
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from tests.support.polling import eventually
from tests.support.ports import free_port
from tests.support.worker import ROOT
from understudy.settings import Settings
from workers.leash import LeashedProcess
from workers.readiness import flower_answers

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

START_S = 60.0
ANSWER_S = 20.0
API, ACT = "/providers/api", "/providers/api/act"


class FlowerProcess:
    """The plain command on a port of loopback; used as a context manager.

    Args:
        folder: where it runs and logs; not the checkout, whose `.env` is its owner's.
        environment: the settings of its installation.
        options: of Flower, such as `--url_prefix=flower`.
    """

    def __init__(self, folder: Path, environment: Mapping[str, str], *options: str) -> None:
        known = {name.upper() for name in Settings.model_fields}
        kept = {name: value for name, value in os.environ.items() if name not in known and name[:7] != "FLOWER_"}
        self.port = free_port()
        self.log = folder / f"flower-{self.port}.log"
        self._env = {**kept, **environment, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
        self._command = [sys.executable, "-m", "celery", "-A", "workers", "--workdir", str(folder), "flower"]
        self._command += ["--address=127.0.0.1", f"--port={self.port}", *options]
        prefix = [option.partition("=")[2] for option in options if option.startswith("--url_prefix")]
        self.prefix = f"/{prefix[0]}" if prefix else ""

    def __enter__(self) -> Self:
        with self.log.open("wb") as output:
            self._process = LeashedProcess(self._command, env=self._env, output=output.fileno())
        try:
            eventually(self._answers, limit_s=START_S, every_s=0.1)
        except BaseException:
            self._process.kill()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._process.alive

    def by(self, login: str = "") -> Browser:
        """Somebody with this login, `user:password`; with none by default."""
        return Browser(self.port, self.prefix, login)

    def said(self) -> str:
        """All that it logged."""
        return self.log.read_text(encoding="utf-8", errors="replace")

    def _answers(self) -> bool:
        assert self._process.alive, self.said()
        return flower_answers(f"http://127.0.0.1:{self.port}{self.prefix}")


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    text: str

    def json(self) -> dict[str, Any]:
        """Its body."""
        body: dict[str, Any] = json.loads(self.text)
        return body

    @property
    def error(self) -> str:
        """The sentence of a refusal."""
        return str(self.json()["error"])


@dataclass
class Browser:
    """Keeps the cookies that it is given, as a browser does.

    Args:
        host: by which name it asks; that of the port by default.
    """

    port: int
    prefix: str = ""
    login: str = ""
    host: str = ""
    cookies: dict[str, str] = field(default_factory=dict)

    def ask(self, method: str, path: str, body: str | None = None, **headers: str) -> Answer:
        """One request; an underscore in a header's name stands for a dash."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if self.login:
            sent["Authorization"] = f"Basic {base64.b64encode(self.login.encode()).decode()}"
        if self.host:
            sent["Host"] = self.host
        if self.cookies:
            sent["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=ANSWER_S)
        try:
            connection.request(method, self.prefix + path, body, sent)
            response = connection.getresponse()
            text = response.read().decode("utf-8", "replace")
        finally:
            connection.close()
        for cookie in response.headers.get_all("Set-Cookie") or ():
            name, _, value = cookie.partition(";")[0].partition("=")
            self.cookies[name] = value
        return Answer(response.status, {name.lower(): value for name, value in response.headers.items()}, text)

    def get(self, path: str, **headers: str) -> Answer:
        """GET."""
        return self.ask("GET", path, **headers)

    def overview(self) -> dict[str, Any]:
        """What the page shows at first."""
        answer = self.get(API)
        assert answer.status == 200, answer
        return answer.json()

    def provider(self, name: str) -> dict[str, Any]:
        """What it shows of one provider."""
        found: dict[str, Any] = next(row for row in self.overview()["providers"] if row["name"] == name)
        return found

    def act(self, action: str, why: str = "to see", **fields: Any) -> Answer:
        """Take an action as the page's script does: with the token that the page has set."""
        body = json.dumps({"action": action, "why": why, **fields})
        return self.ask("POST", ACT, body, Content_Type="application/json", X_XSRFToken=self.token())

    def token(self) -> str:
        """The page's token; the page is loaded for it once."""
        if "_xsrf" not in self.cookies:
            self.get("/providers")
        return self.cookies["_xsrf"].strip('"')

    def done(self, action: str, why: str = "to see", **fields: Any) -> str:
        """The same, of an action that is to succeed; what was done."""
        answer = self.act(action, why, **fields)
        assert answer.status == 200, answer
        return str(answer.json()["done"])
