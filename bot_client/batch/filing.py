"""A job over files: rows of an input, verdicts in an output, gone on with where an earlier run stopped."""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from bot_client.batch.marks import Marks
from bot_client.batch.output import Output, fingerprint
from bot_client.batch.progress import Progress
from bot_client.batch.reading import Rejected, read_rows
from bot_client.batch.running import Running
from bot_client.batch.verdict import read_verdict
from understudy.errors import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from bot_client.batch.lines import Lines
    from bot_client.batch.plan import Plan
    from bot_client.batch.reading import Shape
    from bot_client.batch.row import Row
    from bot_client.interface import Client

FINGERPRINT = 65_536
"""Bytes of the input's beginning by which it is known again; it may grow at its end."""

SYNC_S = 1.0
TURN_ROWS = 100
"""Rows that were done before are passed over so many at a time, before others get their turn."""


@dataclass(frozen=True)
class Again:
    """Failed rows alone are asked again.

    Args:
        causes: of those that are; empty for all.
    """

    causes: frozenset[str] = frozenset()

    def wants(self, row: dict[str, Any]) -> bool:
        """Whether a line of the output is one of them."""
        error = row.get("error")
        return isinstance(error, dict) and (not self.causes or error.get("cause") in self.causes)


class Filing:
    """One run over files.

    Args:
        restart: begin anew, whatever the output holds.
        strict: end at the first broken row.
        again: only rows that failed.
    """

    def __init__(
        self, lines: Lines, shape: Shape, out: Path, plan: Plan, *, restart: bool, strict: bool, again: Again | None
    ) -> None:
        self.plan = plan
        self.progress = Progress()
        self.output = Output(out)
        self._lines = lines
        self._shape = shape
        self._restart = restart
        self._strict = strict
        self._again = again
        self._seen, self._written, self._failed = Marks(), Marks(), Marks()
        self._running: Running | None = None
        self._synced_at = 0.0
        self._unsynced: list[str] = []

    async def open(self) -> None:
        """Open input and output and see what earlier runs have done.

        Raises:
            InvalidRequest: one of them cannot be used; nothing was changed.
        """
        first = await self._lines.start(FINGERPRINT)
        shape = self._shape
        about = {
            "job": self.plan.job,
            "input": f"{len(first)}:{fingerprint(first)}",
            "rules": fingerprint((shape.rules or "").encode()),
            "shape": fingerprint(json.dumps([shape.format, sorted(shape.columns.items()), shape.header]).encode()),
        }
        if self.output.open(about, first, restart=self._restart):
            self._look_back()
        elif self._again:
            raise InvalidRequest(f"The output {self.output.path} is new: there is nothing to retry.")
        self.plan = replace(self.plan, job=self.output.about["job"], named=True)

    def stop(self, grace_s: float) -> None:
        """End soon: rows in flight may take so long, then they are left, and found again when it is started again."""
        if self._running:
            self._running.stop(grace_s)

    async def run(self, client: Client, tell: Callable[[Progress], None]) -> None:
        """Judge what is left.

        Args:
            client: entered.
            tell: called whenever there is news.

        Raises:
            OutputFull: the output takes no more.
            InvalidRequest: the input cannot be read further; a broken row, where it is to be strict.
            JobStopped: an operator cancelled the job, or another run took it on.
        """
        running = self._running = Running(client, self.plan, self.progress)
        telling = asyncio.create_task(self._tell(tell))
        try:
            async with aclosing(running.verdicts(self._rows(running))) as verdicts:  # type: ignore[type-var]
                async for verdict in verdicts:
                    self.output.append([verdict.line()])
                    self._unsynced.append(verdict.call_id)
                    if time.monotonic() - self._synced_at >= SYNC_S:
                        await self._sync(running)
        finally:
            telling.cancel()
            await self._sync(running)

    def close(self) -> None:
        """Give the files back."""
        self._lines.close()
        self.output.close()
        for marks in (self._seen, self._written, self._failed):
            marks.close()

    def _look_back(self) -> None:
        """What earlier runs have written counts as done, but for the rows that are to be asked again."""
        if self._again:
            failed = {number: row["id"] for number, _, row in self.output.written() if self._again.wants(row)}
            for row_id in failed.values():
                self._failed.add(row_id, 0)
            self.output.without(failed)
        for number, place, row in self.output.written():
            if not self._written.add(row["id"], place):
                raise InvalidRequest(f"The output {self.output.path} has an id twice (line {number}): use --restart.")
            self.progress.count_written(row)

    async def _rows(self, running: Running) -> AsyncIterator[Row]:
        """The rows that are to be asked."""
        passed = 0
        async for row in read_rows(self._lines, self._shape):
            passed += 1
            if passed % TURN_ROWS == 0:
                await asyncio.sleep(0)
            if isinstance(row, Rejected):
                self._reject(row)
            elif not self._seen.add(row.id, row.number):
                first = self._seen.number(row.id)
                self._reject(Rejected(row.number, f"Its id is that of line {first}.", json.dumps({"id": row.id})))
            elif (place := self._written.number(row.id)) is not None:
                if row.content and (verdict := read_verdict(self.output.line_at(place))):
                    running.answers.put(row.content, verdict)
            elif self._again is None or self._failed.number(row.id) is not None:
                yield row

    def _reject(self, row: Rejected) -> None:
        if self._strict:
            raise InvalidRequest(f"{self._lines.said}, line {row.number:,}: {row.why}")
        self.progress.rejected += 1
        self.output.reject(row.number, row.why, row.raw)

    async def _sync(self, running: Running) -> None:
        """Only what outlasts this machine is forgotten in Redis."""
        self._synced_at = time.monotonic()
        call_ids, self._unsynced = [call_id for call_id in self._unsynced if call_id], []
        await asyncio.to_thread(self.output.sync)
        if running.desk and call_ids:
            await running.desk.forget(call_ids)

    async def _tell(self, tell: Callable[[Progress], None]) -> None:
        while True:
            tell(self.progress)
            await asyncio.sleep(0.2)
