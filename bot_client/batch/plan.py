"""What a batch job is to do."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bot_client.batch.answers import CACHE_DAYS
from understudy.contracts.call import Spend
from understudy.errors import InvalidRequest
from understudy.state.job import new_job_id
from understudy.state.jobs import MAX_WINDOW

if TYPE_CHECKING:
    from pathlib import Path

_JOB = re.compile(r"[A-Za-z0-9._-]{1,80}")


@dataclass(frozen=True)
class Plan:
    """How rows are asked.

    Args:
        job: its id: two runs with the same one are one job, and ask no question twice.
        named: whether somebody gave that id, so that the job may be started again; else its calls end with it.
        name: for people.
        rules: of rows that bring none.
        window: rows in flight at most; None leaves it to the providers' shares.
        spend: whether rows may cost money.
        only: the name of the one provider that may answer.
        budget_microusd: what the whole job may cost.
        rate: calls begun each second, at most.
        cache: a file with the answers of earlier jobs.
        input, output: names for people.
    """

    job: str = field(default_factory=new_job_id)
    named: bool = False
    name: str = "remoderate"
    rules: str | None = None
    window: int | None = None
    spend: Spend = Spend.DEFER
    local_only: bool = False
    only: str | None = None
    budget_microusd: int | None = None
    rate: float | None = None
    cache: Path | None = None
    cache_days: float = CACHE_DAYS
    input: str = ""
    output: str = ""

    def __post_init__(self) -> None:
        if not _JOB.fullmatch(self.job):
            raise InvalidRequest("remoderate: job must be 1 to 80 of A-Z a-z 0-9 . _ and -.")
        if self.window is not None and not 1 <= self.window <= MAX_WINDOW:
            raise InvalidRequest(f"remoderate: window is {self.window:,}; 1 to {MAX_WINDOW:,} are allowed.")
        if self.rate is not None and not self.rate > 0:
            raise InvalidRequest("remoderate: rate must be above 0.")
        if self.budget_microusd is not None and self.budget_microusd < 0:
            raise InvalidRequest("remoderate: budget_usd must not be negative.")
        if self.cache_days <= 0:
            raise InvalidRequest("remoderate: cache_days must be above 0.")
