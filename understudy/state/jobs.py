"""The batch jobs that all machines see: told of by their runners, steered by operators."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from understudy.errors import InvalidRequest, UnknownJob
from understudy.money import dollars
from understudy.state.audit import checked_entry
from understudy.state.job import CANCEL, LOST_MS, PAUSE, REPLACED, RUN, Control, Job, JobSpec, read_job
from understudy.state.keys import JOB_TTL_MS
from understudy.state.lua import Lua, Reply

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from redis.asyncio import Redis

    from understudy.state.keys import Keys

MAX_WINDOW = 10_000
MAX_LISTED = 1_000


class Jobs:
    """All jobs of an installation.

    Operators' methods take `who` acts and `why`, 1 to 200 characters, and note them in the audit log.
    Every method raises ``redis.exceptions.RedisError`` where Redis cannot be reached, and bears being repeated.
    """

    def __init__(self, redis: Redis, keys: Keys, shift_ms: Callable[[], int] | None = None) -> None:
        self.lua = Lua(redis, keys, shift_ms)

    async def create(self, spec: JobSpec, runner: str | None = None) -> JobRun:
        """Take a job on, a new one or one that stopped: whoever runs it hears `replaced`.

        What an operator set (pause, window, budget) holds on; a cancelled job begins anew.

        Args:
            runner: tells two runs of one job apart.
        """
        run = JobRun(self.lua, spec, runner or uuid4().hex)
        await run.open()
        return run

    async def latest(self, limit: int = MAX_LISTED) -> Sequence[Job]:
        """The jobs that were heard of last, latest first."""
        return await self._read(limit=limit)

    async def get(self, job_id: str) -> Job:
        """One job.

        Raises:
            UnknownJob: there is none of this id.
        """
        found = await self._read(ids=[job_id], limit=1)
        if not found:
            raise _unknown(job_id)
        return found[0]

    async def pause(self, job_id: str, *, who: str, why: str) -> None:
        """Let a job open no further calls until it is resumed."""
        await self._steer(job_id, "pause", who, why, want=PAUSE)

    async def resume(self, job_id: str, *, who: str, why: str) -> None:
        """Let a paused job go on."""
        await self._steer(job_id, "resume", who, why, want=RUN)

    async def cancel(self, job_id: str, *, who: str, why: str) -> None:
        """End a job: what it has written stays, and its command can be started again."""
        await self._steer(job_id, "cancel", who, why, want=CANCEL)

    async def set_window(self, job_id: str, window: int | None, *, who: str, why: str) -> None:
        """Set how many calls a job may have in flight; None leaves it to its runner."""
        if window is not None and not 1 <= window <= MAX_WINDOW:
            raise InvalidRequest(f"jobs: window is {window:,}; 1 to {MAX_WINDOW:,} are allowed.")
        said = "auto" if window is None else str(window)
        await self._steer(job_id, f"window {said} for", who, why, fields={"window_wanted": _or_gone(window)})

    async def set_budget(self, job_id: str, budget_microusd: int | None, *, who: str, why: str) -> None:
        """Set what a job may cost in all; None takes its own budget away."""
        if budget_microusd is not None and budget_microusd < 0:
            raise InvalidRequest("jobs: the budget must not be negative.")
        said = "none" if budget_microusd is None else dollars(budget_microusd)
        await self._steer(job_id, f"budget {said} for", who, why, fields={"budget_microusd": _or_gone(budget_microusd)})

    async def _steer(self, job_id: str, action: str, who: str, why: str, **args: Any) -> None:
        """Steer a job, and note it in the audit log.

        Raises:
            UnknownJob: there is none of this id.
            InvalidRequest: it has ended, or who or why break their limit.
        """
        entry = checked_entry("jobs", f"{action} job {job_id}", who, why)
        steered = {"lost": LOST_MS, "ttl": JOB_TTL_MS, "who": entry["who"], "audit": entry, **args}
        reply = Reply.of(await self.lua("job_steer", id=job_id, **steered))
        if reply.word == "missing":
            raise _unknown(job_id)
        if reply.word == "ended" and args.get("want") != CANCEL:
            raise InvalidRequest(f"jobs: the job has ended ({reply.text('state')}); start its command again.")

    async def _read(self, **args: Any) -> list[Job]:
        reply = Reply.of(await self.lua("job_list", ttl=JOB_TTL_MS, **args))
        return [read_job(row, reply.number("now")) for row in json.loads(reply.text("jobs"))]


class JobRun:
    """One run of a job, from its runner's side.

    Args:
        runner: tells two runs of one job apart.
    """

    def __init__(self, lua: Lua, spec: JobSpec, runner: str) -> None:
        self.spec = spec
        self.runner = runner
        self.control = Control()
        self._lua = lua

    async def open(self) -> Control:
        """Say that the job is run from here."""
        given = {"name", "owner", "spend", "input", "output"}
        fields: dict[str, Any] = {name: getattr(self.spec, name) for name in given}
        wanted = {"window_wanted": self.spec.window, "budget_microusd": self.spec.budget_microusd}
        await self._say("job_open", fields | {name: value for name, value in wanted.items() if value is not None})
        return self.control

    async def beat(
        self, progress: Mapping[str, Any], *, state: str = "running", why: str = "", window: int | None = None
    ) -> Control:
        """Say how far the job is, at least every few seconds.

        Args:
            progress: counts, as plain data.
            window: calls in flight at most, as it is now.
        """
        return await self._tell(progress, state, why, window)

    async def end(self, progress: Mapping[str, Any], *, state: str, why: str = "") -> None:
        """Say that this run is over: `done`, `failed`, `cancelled` or `stopped`."""
        await self._tell(progress, state, why, None, over=True)

    async def _tell(
        self, progress: Mapping[str, Any], state: str, why: str, window: int | None, **over: bool
    ) -> Control:
        text = json.dumps(progress, ensure_ascii=False, separators=(",", ":"))
        fields: dict[str, Any] = {"state": state, "why": why, "progress": text}
        if window is not None:
            fields["window"] = window
        if not await self._say("job_beat", fields, **over):  # Redis lost it: what is known here is told again
            await self._reopen()
            await self._say("job_beat", fields, **over)
        return self.control

    async def _reopen(self) -> None:
        """Tell Redis again what it lost, with what an operator had set since."""
        known = self.control
        await self.open()
        lost = {"window_wanted": known.window, "budget_microusd": known.budget_microusd}
        fields = {name: value for name, value in lost.items() if value is not None}
        want = known.want if known.want in (PAUSE, CANCEL) else None
        asked = {"want": want, "who": known.who, "fields": fields}
        await self._lua("job_steer", id=self.spec.id, lost=LOST_MS, ttl=JOB_TTL_MS, **asked)

    async def _say(self, script: str, fields: Mapping[str, Any], **more: Any) -> bool:
        """Run one script and keep what it answers; whether Redis knows the job."""
        args = {"id": self.spec.id, "runner": self.runner, "ttl": JOB_TTL_MS, "fields": fields}
        reply = Reply.of(await self._lua(script, **args, **more))
        if reply.word == "missing":
            return False
        if reply.word == "replaced":
            self.control = Control(REPLACED)
        else:
            self.control = Control(
                want=reply.text("want") or RUN,
                who=reply.text("who"),
                window=reply.number("window") if reply.text("window") else None,
                budget_microusd=reply.number("budget") if reply.text("budget") else None,
            )
        return True


def _or_gone(value: int | None) -> int | str:
    return "" if value is None else value


def _unknown(job_id: str) -> UnknownJob:
    return UnknownJob(f"No job has the id {job_id[:80]}, or its record has expired.")
