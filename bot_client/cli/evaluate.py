"""`evaluate`: how well each provider judges labelled messages, and whether they agree."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bot_client.batch.display import Display, display, shown
from bot_client.batch.judgement import Judgement, agreements, judgement_of, said_of
from bot_client.batch.labelled import Labelled, label_map, read_labelled, sample_of
from bot_client.batch.lines import Lines
from bot_client.batch.progress import Progress
from bot_client.batch.verdict_lines import ERROR
from bot_client.batch.window import USED_UP
from bot_client.cli.amounts import Dollars
from bot_client.cli.evaluate_view import view
from bot_client.cli.exits import Exit
from bot_client.cli.options import json_option, text_in
from bot_client.cli.output import document, is_json, note
from bot_client.cli.terminal import console
from bot_client.client import Understudy
from bot_client.policy import known_provider
from understudy.contracts.call import Reason
from understudy.ending import end_tasks
from understudy.errors import InvalidRequest
from understudy.estimate import Estimate, estimate_of
from understudy.money import MICRO, dollars
from understudy.pricing import price_of
from understudy.providers import providers_from
from understudy.settings import load_settings
from understudy.words import count

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from bot_client.batch.verdict import Verdict
    from understudy.providers import Provider
    from understudy.settings import Settings

LOOK_S = 0.5


@dataclass(frozen=True)
class _Trial:
    """What each provider is asked, and within which limits."""

    rows: Sequence[Labelled]
    rules: str | None
    window: int | None
    budget_microusd: int | None
    name: str


@click.command()
@click.argument("labelled", metavar="FILE")
@click.option(
    "--provider",
    "--providers",
    "names",
    multiple=True,
    metavar="NAME,...",
    help="Ask each row of these providers; without it, of every free one.",
)
@click.option("--label-map", "maps", multiple=True, metavar="LABEL=EXPECTED,...", help="What labels mean.")
@click.option("--rules", "rules_file", metavar="FILE", help="A file with the group's rules.")
@click.option("--sample", type=click.IntRange(1), help="Only so many rows, taken evenly from all.")
@click.option("--window", type=click.IntRange(1), help="Rows in flight at most.")
@click.option("--budget-usd", type=Dollars(), help="What all of it may cost.")
@click.option("--yes", is_flag=True, help="Do not ask before money is spent.")
@json_option
def evaluate(labelled: str, names: Sequence[str], maps: Sequence[str], **options: Any) -> int:
    """Judge the labelled messages of FILE, and compare with the labels: confusion, precision and recall, agreement."""
    settings = load_settings()
    providers = _chosen(providers_from(settings), [name.strip() for given in names for name in given.split(",")])
    labels = {label: expected for text in maps for label, expected in label_map(text).items()}
    rows = sample_of(asyncio.run(_read(labelled, labels)), options["sample"])
    if not rows:
        raise InvalidRequest("evaluate: FILE has no messages.")
    rules = text_in(options["rules_file"]) if options["rules_file"] is not None else None
    trial = _Trial(rows, rules, options["window"], options["budget_usd"], f"evaluate {Path(labelled).name}")
    _say_cost(trial, providers, settings, sure=options["yes"])
    judgements = asyncio.run(_judged(trial, providers))
    found = agreements(judgements)
    if is_json():
        told = {"messages": len(rows), "judgements": [each.as_dict() for each in judgements]}
        document(told | {"agreements": [each.as_dict() for each in found]})
    else:
        console().print(view(rows, judgements, found))
    return Exit.OK if all(each.judged for each in judgements) and not any(j.errors for j in judgements) else Exit.FAILED


def _chosen(providers: Sequence[Provider], names: Sequence[str]) -> list[Provider]:
    if names:
        return [known_provider(providers, name, "evaluate", field="--providers") for name in dict.fromkeys(names)]
    free = [provider for provider in providers if not provider.paid]
    if not free:
        raise InvalidRequest("evaluate: every provider of the settings is paid; name those to ask with --providers.")
    return free


async def _read(path: str, labels: dict[str, str]) -> list[Labelled]:
    with closing(Lines(path)) as lines:
        return await read_labelled(lines, labels)


def _say_cost(trial: _Trial, providers: Sequence[Provider], settings: Settings, *, sure: bool) -> None:
    """Say what it will cost, and go on only where somebody agrees.

    Raises:
        InvalidRequest: it costs more than its budget, nobody can be asked, or nobody knows what it costs.
    """
    total = Estimate()
    for provider in providers:
        if not provider.paid:
            continue
        price = price_of(provider.model, settings, provider.base_url)
        if price is None:
            raise InvalidRequest(
                f"evaluate: {provider.model} has no price here: install the extra `ops`, or set UNDERSTUDY_PRICES."
            )
        limit = settings.llm_max_tokens or settings.understudy_paid_max_tokens
        for row in {row.request: row for row in trial.rows}.values():
            total = total.plus(estimate_of("moderation", row.request, price, paid_max_tokens=limit))
    if not total.calls:
        note(f"{count(len(trial.rows), 'message')}, free.")
        return
    paid = ", ".join(provider.name for provider in providers if provider.paid)
    text = f"{count(len(trial.rows), 'message')}, {paid} likely {dollars(total.likely)}, at most {dollars(total.most)}."
    note(text)
    if trial.budget_microusd is not None and total.likely > trial.budget_microusd:
        raise InvalidRequest(
            f"evaluate: it would likely cost {dollars(total.likely)}, and --budget-usd allows"
            f" {dollars(trial.budget_microusd)}: take a --sample, or allow more."
        )
    if sure:
        return
    if not sys.stdin.isatty() or is_json():
        raise InvalidRequest("evaluate: it costs money: give --yes, or run it at a terminal, which asks.")
    click.confirm("Go on?", abort=True, err=True)


async def _judged(trial: _Trial, providers: Sequence[Provider]) -> list[Judgement]:
    """One provider after the other: each is asked in a job of its own, which operators see and steer."""
    judgements: list[Judgement] = []
    show = display(as_json=False)
    async with Understudy.from_settings() as llm:
        for provider in providers:
            spent = sum(judgement.cost_microusd for judgement in judgements)
            judgements.append(await _judged_by(llm, trial, provider, spent, show))
    return judgements


async def _judged_by(llm: Understudy, trial: _Trial, provider: Provider, spent: int, show: Display) -> Judgement:
    progress = Progress(total=len(trial.rows))
    budget = trial.budget_microusd if provider.paid else None
    verdicts = llm.remoderate(
        (row.message for row in trial.rows),
        rules=trial.rules,
        window=trial.window,
        only=provider.name,
        spend="allow" if provider.paid else "never",
        budget_usd=None if budget is None else max(0, budget - spent) / MICRO,
        name=f"{trial.name} at {provider.name}",
        progress=progress,
    )
    given: dict[int, Verdict] = {}
    async with shown(show, progress):
        await _taken(verdicts, given, progress)
    said = [said_of(given[row.number]) if row.number in given else ERROR for row in trial.rows]
    errors = Counter(verdict.error for verdict in given.values() if verdict.error)
    if left := len(trial.rows) - len(given):
        errors[Reason.BUDGET] = left
    model = next((verdict.model for verdict in given.values() if verdict.model), provider.model)
    return judgement_of(trial.rows, said, provider.name, model, errors=errors, cost_microusd=progress.cost_microusd)


async def _taken(verdicts: AsyncIterator[Verdict], given: dict[int, Verdict], progress: Progress) -> None:
    """Take all verdicts; those that come before the budget is used up, for nothing else would end the wait."""

    async def take() -> None:
        async for verdict in verdicts:
            given[int(verdict.id)] = verdict

    taking = asyncio.create_task(take())
    try:
        while not (await asyncio.wait({taking}, timeout=LOOK_S))[0]:
            if progress.state == "waiting" and progress.why.endswith(USED_UP):
                return
        await taking
    finally:
        await end_tasks((taking,))
