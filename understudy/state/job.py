"""A batch job, as its runner tells of it and as operators see it."""

from __future__ import annotations

import getpass
import json
import secrets
import socket
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

LOST_MS = 15_000
"""A runner beats each second; one that missed fifteen beats is gone, or has no Redis."""

RUN, PAUSE, CANCEL, REPLACED = "run", "pause", "cancel", "replaced"
"""What a runner is to do; replaced: another runner took the job on."""

PAUSED, CANCELLED, LOST = "paused", "cancelled", "lost"


@dataclass(frozen=True)
class JobSpec:
    """What a runner says of its job when it takes it on.

    Args:
        id: stays the same when the job is started again.
        owner: who runs it, and where.
        spend: the spend policy of its calls.
        window: calls in flight at most; None leaves it to the runner, or to what an operator set.
        budget_microusd: it never spends more; None keeps what was set before.
        input, output: names for people.
    """

    id: str
    name: str
    owner: str
    spend: str = "defer"
    window: int | None = None
    budget_microusd: int | None = None
    input: str = ""
    output: str = ""


@dataclass(frozen=True)
class Control:
    """What a runner goes by until its next beat.

    Args:
        want: `run`, `pause`, `cancel`, or `replaced`.
        who: asked for it.
        window: calls in flight at most; None where nobody set it.
        budget_microusd: None where there is none.
    """

    want: str = RUN
    who: str = ""
    window: int | None = None
    budget_microusd: int | None = None

    @property
    def paused(self) -> bool:
        """Whether it is to open no further calls."""
        return self.want == PAUSE

    @property
    def cancelled(self) -> bool:
        """Whether it is to end."""
        return self.want == CANCEL

    @property
    def replaced(self) -> bool:
        """Whether another runner took the job on, so that this one is to stop."""
        return self.want == REPLACED


@dataclass(frozen=True)
class Job:
    """A job as operators see it; times are Redis milliseconds.

    Args:
        state: as the runner told it, or `paused`, `cancelled` (asked for), `lost` (no beat for 15 s).
        window, window_wanted: calls in flight at most as the runner has it now, and as somebody set it.
        charged_microusd: what its calls were charged, those that are open included.
        progress: the runner's counts.
    """

    id: str
    name: str
    owner: str
    state: str
    why: str = ""
    created: int = 0
    started: int = 0
    beat: int = 0
    ended: int | None = None
    now: int = 0
    spend: str = ""
    window: int | None = None
    window_wanted: int | None = None
    charged_microusd: int = 0
    budget_microusd: int | None = None
    input: str = ""
    output: str = ""
    progress: Mapping[str, Any] = field(default_factory=dict)

    @property
    def silent_ms(self) -> int:
        """Since its last beat."""
        return max(0, self.now - self.beat)


def read_job(row: Mapping[str, str], now: int) -> Job:
    """A job from its hash."""
    ended = _number(row.get("ended"))
    beat = _number(row.get("beat")) or 0
    state, why = row.get("state", "starting"), row.get("why", "")
    who = f"by {row['who']}" if row.get("who") else ""
    if ended is None and now - beat > LOST_MS:
        state, why = LOST, "its runner is gone, or has no Redis; start the command again"
    elif ended is None and row.get("want") == PAUSE:
        state, why = PAUSED, who
    elif row.get("want") == CANCEL and (ended is None or state == CANCELLED):
        state, why = CANCELLED, who
    return Job(
        id=row["id"],
        name=row.get("name", ""),
        owner=row.get("owner", ""),
        state=state,
        why=why,
        created=_number(row.get("created")) or 0,
        started=_number(row.get("started")) or 0,
        beat=beat,
        ended=ended,
        now=now,
        spend=row.get("spend", ""),
        window=_number(row.get("window")),
        window_wanted=_number(row.get("window_wanted")),
        charged_microusd=_number(row.get("charged")) or 0,
        budget_microusd=_number(row.get("budget_microusd")),
        input=row.get("input", ""),
        output=row.get("output", ""),
        progress=json.loads(row.get("progress") or "{}"),
    )


def new_job_id() -> str:
    """A name for a job that has none yet, short enough to type."""
    return secrets.token_hex(4)


def owner_here() -> str:
    """Who runs this process, and where: `user@host`."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = "unknown"  # a container's user often has no name
    return f"{user}@{socket.gethostname()}"


def _number(value: object) -> int | None:
    return int(float(str(value))) if value not in (None, "") else None
