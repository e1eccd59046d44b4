"""Steers a job while it runs: its window by what live calls see, and what operators ask of it."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING

from redis.exceptions import RedisError

from bot_client.batch.window import FIRST, Memory, Window, in_flight, next_window, sight
from understudy.contracts.call import Spend as SpendPolicy
from understudy.errors import JobStopped
from understudy.routing import Policy
from understudy.state.job import Control, JobSpec, owner_here
from understudy.state.jobs import MAX_WINDOW

if TYPE_CHECKING:
    from bot_client.batch.asking import Asking
    from bot_client.batch.desk import Desk
    from bot_client.batch.plan import Plan
    from bot_client.batch.progress import Progress
    from understudy.state.jobs import JobRun

logger = logging.getLogger("understudy.client")

LOOK_S = 0.5
BEAT_S = 1.0


class Steering:
    """Looks at the shared health, beats for the job, and sizes the window."""

    def __init__(self, desk: Desk, plan: Plan, asking: Asking, progress: Progress) -> None:
        self._desk = desk
        self._plan = plan
        self._asking = asking
        self._progress = progress
        self._policy = Policy("moderation", spend=plan.spend, local_only=plan.local_only, only=plan.only, batch=True)
        self._window = Window(0)
        self._memory = Memory()
        self._slots = 0
        self._job: JobRun | None = None
        self._beat_at = 0.0
        self._may_pay = True

    async def run(self) -> None:
        """Steer until cancelled."""
        while True:
            try:
                async with asyncio.timeout(BEAT_S * 5):
                    await self._beat()
                    await self._look()
            except (RedisError, OSError) as error:
                self._window = Window(0)
                self._say("waiting", f"Redis cannot be reached ({type(error).__name__})")
            await asyncio.sleep(LOOK_S)

    async def end(self, state: str, why: str = "") -> None:
        """Tell how the job ended; Redis away, it shows as lost."""
        self._progress.end(state, why)
        if self._job is None:
            return
        try:
            async with asyncio.timeout(BEAT_S):
                await self._job.end(self._progress.as_dict(), state=state, why=why)
        except (RedisError, OSError) as error:
            logger.debug("job_end_untold job=%s error=%s", self._plan.job, type(error).__name__)

    async def _beat(self) -> None:
        if time.monotonic() - self._beat_at < BEAT_S:
            return
        plan, said = self._plan, self._progress
        if self._job is None:
            spec = JobSpec(
                id=plan.job,
                name=plan.name,
                owner=owner_here(),
                spend=plan.spend.value,
                window=plan.window,
                budget_microusd=plan.budget_microusd,
                input=plan.input,
                output=plan.output,
            )
            self._job = await self._desk.jobs.create(spec)
        control = await self._job.beat(said.as_dict(), state=said.state, why=said.why, window=said.window)
        self._beat_at = time.monotonic()
        if control.replaced:
            self._asking.fail(JobStopped(f"Job {plan.job} was taken on by another run of it.", "stopped"))
        elif control.cancelled:
            who = f" by {control.who}" if control.who else ""
            self._asking.fail(JobStopped(f"Job {plan.job} was cancelled{who}.", "cancelled"))
        if control.budget_microusd is not None and plan.spend is SpendPolicy.ALLOW:
            self._may_pay = (await self._desk.spend.job(plan.job)).get("total", 0) < control.budget_microusd

    async def _look(self) -> None:
        seen = await self._desk.health.snapshot()
        control = self._job.control if self._job else Control()
        look, self._memory = sight(self._desk.providers, self._policy, seen, self._memory, may_pay=self._may_pay)
        self._slots = look.slots
        self._window = next_window(self._window, look, control.window or self._plan.window or MAX_WINDOW)
        if control.paused:
            self._window = Window(0)
            self._say("paused", f"by {control.who}" if control.who else "")
        elif self._window.size == 0:
            self._say("waiting", look.why)
        else:
            self._say("running", look.why)

    def _say(self, state: str, why: str) -> None:
        said = self._progress
        if state == "waiting" and said.state != "waiting":
            logger.info("batch_waits job=%s why=%s", self._plan.job, why)
        said.state, said.why = state, why
        said.window, said.in_flight = self._window.size, self._asking.in_flight
        self._asking.resize(in_flight(self._window, self._slots))


class Unsteered:
    """For a client without shared health: a fixed window."""

    def __init__(self, plan: Plan, asking: Asking, progress: Progress) -> None:
        self._size = plan.window or FIRST
        self._asking = asking
        self._progress = progress

    async def run(self) -> None:
        """Open the window once."""
        self._progress.state, self._progress.window = "running", self._size
        self._asking.resize(self._size)

    async def end(self, state: str, why: str = "") -> None:
        """Note how the job ended."""
        self._progress.end(state, why)
