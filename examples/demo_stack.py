"""The demo's own stack: a child process that tells in one line of JSON where everything is."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from types import TracebackType

ROOT = Path(__file__).resolve().parents[1]
COMMAND = (sys.executable, "-m", "workers.up", "--json", "--throwaway", "--relay", "--no-flower", "--no-batch")
START_S = 120.0
END_S = 40.0
ADMIN_S = 5.0
TAIL_LINES = 15

# Without the proxies of the environment, which know nothing of our loopback.
_open = urllib.request.build_opener(urllib.request.ProxyHandler({})).open


class StackFailed(Exception):
    """The stack did not start, or a stand-in does not answer."""


@dataclass(frozen=True)
class Endpoint:
    """A provider as this stack has it.

    Args:
        real: whether it is the real one; else a stand-in.
        admin_url: where a stand-in, or the relay in front of a real one, is steered; None where there is neither.
    """

    name: str
    paid: bool
    real: bool
    words: str
    admin_url: str | None

    @property
    def called(self) -> str:
        """What answers its calls, in words."""
        return f"the real {self.name}" if self.real else f"{self.name}'s stand-in"

    @property
    def counter(self) -> str:
        """What counts its requests, in words: a real one tells nobody."""
        return f"{self.name}'s relay" if self.real else self.called


class DemoStack:
    """Redis, workers and stand-ins that end with this process, however this one ends.

    Args:
        report: what the stack said of itself; its process gives it when it is ready.
    """

    def __init__(self, report: dict[str, Any] | None = None) -> None:
        self._process: asyncio.subprocess.Process | None = None
        self._report = report or {}

    @property
    def env(self) -> dict[str, str]:
        """What a client's environment needs."""
        return dict(self._report["env"])

    @property
    def providers(self) -> list[Endpoint]:
        """The providers, in the order of preference."""
        fields = ("name", "paid", "real", "words", "admin_url")
        return [Endpoint(**{field: row[field] for field in fields}) for row in self._report["providers"]]

    @property
    def parts(self) -> list[tuple[str, str]]:
        """What runs, and which of it is real."""
        return [("Redis", self._report["redis"]), *((provider.name, provider.words) for provider in self.providers)]

    @property
    def why_not(self) -> str | None:
        """Why these providers cannot show a fallback; None where they can."""
        if len(self.providers) < 2:
            return "The demo shows a fallback, so it needs two providers, and UNDERSTUDY_ORDER names one alone."
        if self.providers[0].paid:
            return "The demo stops a free primary and waits for its return, and UNDERSTUDY_ORDER puts a paid one first."
        return None

    async def stop_provider(self, name: str) -> None:
        """Let nobody reach a provider: its stand-in refuses, or the relay in front of it is cut."""
        await self._ask(name, "PUT", "/fate", {"refuse": True})

    async def start_provider(self, name: str) -> None:
        """Let it be reached again."""
        await self._ask(name, "PUT", "/fate", {})

    async def counts(self, name: str) -> dict[str, Any]:
        """What a stand-in or relay has counted."""
        counts: dict[str, Any] = await self._ask(name, "GET", "/counts")
        return counts

    def logs(self) -> dict[str, str]:
        """The end of each log."""
        files = sorted(Path(self._report["logs"]).glob("*.log"))
        texts = {file.stem: file.read_text(encoding="utf-8", errors="replace") for file in files}
        return {name: "\n".join(text.splitlines()[-TAIL_LINES:]) for name, text in texts.items() if text}

    async def __aenter__(self) -> Self:
        path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
        # Nothing is worth waiting for at its end.
        env = {**os.environ, "PYTHONPATH": path, "UNDERSTUDY_SHUTDOWN_GRACE_S": "1"}
        # The calls are to show that the primary is gone, not a worker that looks after it.
        env["UNDERSTUDY_WATCH"] = "false"
        pipe = asyncio.subprocess.PIPE
        try:
            # In a session of its own: Ctrl-C is for us, who end it in order.
            self._process = await asyncio.create_subprocess_exec(
                *COMMAND, stdin=pipe, stdout=pipe, env=env, start_new_session=True
            )
            self._report = json.loads(await self._first_line())
        except BaseException:
            await self._end()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._end()

    async def _first_line(self) -> bytes:
        if self._process is None or self._process.stdout is None:
            raise StackFailed("The stack did not start.")
        try:
            async with asyncio.timeout(START_S):
                line = await self._process.stdout.readline()
        except TimeoutError:
            raise StackFailed(f"The stack did not start within {START_S:g} s.") from None
        if not line:
            # It has said why on standard error.
            raise StackFailed("The stack did not start; see above.")
        return line

    async def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        # The end of its standard input asks it to end.
        if process.stdin:
            process.stdin.close()
        try:
            async with asyncio.timeout(END_S):
                await process.wait()
        except TimeoutError:
            # Its children end with it all the same.
            os.killpg(process.pid, signal.SIGKILL)
            await process.wait()

    async def _ask(self, name: str, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        url = next(provider.admin_url for provider in self.providers if provider.name == name)
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{url}{path}", data, method=method)  # noqa: S310 (our own loopback)

        def ask() -> Any:
            with _open(request, timeout=ADMIN_S) as response:
                return json.loads(response.read())

        try:
            return await asyncio.to_thread(ask)
        except OSError as error:
            raise StackFailed(f"The stand-in for {name} does not answer: {error}") from None
