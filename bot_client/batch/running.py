"""One run of a batch job: rows in, verdicts out, counted and steered."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING

from bot_client.batch.answers import Answers, Cache
from bot_client.batch.asking import Asking
from bot_client.batch.progress import Progress
from bot_client.batch.steering import Steering, Unsteered
from understudy.ending import end_tasks
from understudy.errors import JobStopped, UnderstudyError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from bot_client.batch.plan import Plan
    from bot_client.batch.row import Row
    from bot_client.batch.verdict import Verdict
    from bot_client.interface import Client

WITHDRAW_S = 1_200.0
"""A row that was opened so long ago during an outage is taken back: near its deadline it could cost money."""


class Running:
    """One run.

    Args:
        client: entered.
        progress: kept up to date; `total` and what earlier runs did are the caller's to set.
    """

    def __init__(self, client: Client, plan: Plan, progress: Progress | None = None) -> None:
        self.plan = plan
        self.progress = progress or Progress()
        self.progress.job, self.progress.name = plan.job, plan.name
        self.answers = Answers()
        self._cache = Cache(plan.cache, plan.cache_days) if plan.cache else None
        desk = self.desk = client._desk()  # noqa: SLF001 - the client's own half
        model = desk.providers[0].model if desk else ""
        withdraw_s = WITHDRAW_S if desk else None
        self._asking = Asking(client, plan, self.progress, self.answers, self._cache, model, withdraw_s)
        self._steering = (
            Steering(desk, plan, self._asking, self.progress) if desk else Unsteered(plan, self._asking, self.progress)
        )
        self._stopped = False

    def stop(self, grace_s: float) -> None:
        """Begin no further row; those in flight may take so long to end, then they are left to be found again."""
        self._stopped = True
        self._asking.stop()
        asyncio.get_running_loop().call_later(grace_s, self._asking.leave)

    def _steered(self, steering: asyncio.Task[None]) -> None:
        """Without steering the rows would wait for ever."""
        if not steering.cancelled() and (bug := steering.exception()):
            self._asking.fail(bug)

    async def verdicts(self, rows: AsyncIterator[Row]) -> AsyncIterator[Verdict]:
        """The verdicts, as they come.

        Raises:
            JobStopped: an operator cancelled the job, or another run took it on.
        """
        steering = asyncio.create_task(self._steering.run())
        steering.add_done_callback(self._steered)
        state, why = "failed", ""
        try:
            async with aclosing(self._asking.verdicts(rows)) as verdicts:  # type: ignore[type-var]
                async for verdict in verdicts:
                    self.progress.count(verdict)
                    yield verdict
            state = "stopped" if self._stopped else "done"
        except (GeneratorExit, asyncio.CancelledError):
            state = "stopped"
            raise
        except JobStopped as error:
            state, why = error.state, str(error)
            raise
        except UnderstudyError as error:
            why = str(error)
            raise
        finally:
            await end_tasks((steering,))
            await self._steering.end(state, why)
            self.answers.close()
            if self._cache:
                self._cache.close()
