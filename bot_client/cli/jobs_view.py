"""A batch job as a document, and documents as tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich import box
from rich.table import Table

from bot_client.batch.picture import ANSWERS, counted
from understudy.money import dollars
from understudy.words import printable, span

if TYPE_CHECKING:
    from collections.abc import Sequence

    from understudy.state.job import Job

_STYLES = {"running": "green", "waiting": "yellow", "paused": "yellow", "lost": "bold red", "failed": "red"}


def job_document(job: Job) -> dict[str, Any]:
    """What `jobs --json` prints; times are milliseconds ago."""
    return {
        "id": job.id,
        "name": job.name,
        "owner": job.owner,
        "state": job.state,
        "why": job.why,
        "created_ms": job.now - job.created,
        "started_ms": job.now - job.started,
        "beat_ms": job.silent_ms,
        "ended_ms": None if job.ended is None else job.now - job.ended,
        "spend": job.spend,
        "charged_microusd": job.charged_microusd,
        "budget_microusd": job.budget_microusd,
        "window": job.window,
        "window_wanted": job.window_wanted,
        "input": job.input,
        "output": job.output,
        "progress": dict(job.progress),
    }


def jobs_table(jobs: Sequence[Job]) -> Table:
    """The jobs for people, one a line."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for header in ("ID", "Name", "Owner", "State", "Done", "Rate", "Left", "Window", "Cost", "Errors", "Heard of"):
        table.add_column(header, overflow="fold")
    for job in jobs:
        row = _cells(job)
        cells = [row[part] for part in ("state", "done", "rate", "left", "window", "cost", "errors", "heard of")]
        names = [printable(part) for part in (job.id, job.name, job.owner)]
        table.add_row(*names, *cells, style=_STYLES.get(job.state, ""))
    return table


def details(job: Job) -> Table:
    """One job for people, a line for each thing known."""
    table = Table.grid(padding=(0, 2))
    row = _cells(job)
    why = f" ({printable(job.why)})" if job.why else ""
    table.add_row("job", printable(f"{job.id}  {job.name}"))
    table.add_row("state", row["state"] + why, style=_STYLES.get(job.state, ""))
    table.add_row("owner", printable(job.owner))
    table.add_row("begun", f"{span(job.now - job.created)} ago" + _again(job))
    table.add_row("heard of", row["heard of"])
    for name, text in (("input", job.input), ("output", job.output)):
        if text:
            table.add_row(name, printable(text))
    for name in ("done", "rate", "left", "window"):
        if row[name] != "-":
            table.add_row(name, row[name])
    table.add_row("may cost money", printable(job.spend))
    table.add_row("cost", row["cost"])
    for name in ANSWERS:
        if counts := job.progress.get(name):
            table.add_row(name, counted(counts))
    return table


def _cells(job: Job) -> dict[str, str]:
    told, live = job.progress, job.ended is None and job.state != "lost"
    done, total = int(told.get("done") or 0), told.get("total")
    share = f" ({100 * done / total:.0f} %)" if total else ""
    left_s = told.get("left_s") if live else None
    budget = "" if job.budget_microusd is None else f" of {dollars(job.budget_microusd)}"
    window = "-" if job.window is None else str(job.window)
    return {
        "state": printable(job.state),
        "done": f"{done:,}" + ("" if total is None else f" of {total:,}{share}"),
        "rate": f"{told['rate']:,.1f}/s" if told.get("rate") else "-",
        "left": "-" if left_s is None else span(left_s * 1000),
        "window": window + ("" if job.window_wanted is None else f" (at most {job.window_wanted})") if live else "-",
        "cost": f"{dollars(job.charged_microusd)}{budget}",
        "errors": f"{int(told.get('failed') or 0):,}",
        "heard of": f"{span(job.silent_ms)} ago",
    }


def _again(job: Job) -> str:
    return f", started again {span(job.now - job.started)} ago" if job.started > job.created else ""
