"""`moderate`, `name` and `ask`: one call each, waited for."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import click

from bot_client.cli.options import TextCommand, call_options, text_in, text_of
from bot_client.cli.output import document, is_json, line, note
from bot_client.client import Understudy
from understudy.errors import InvalidRequest
from understudy.words import count, span

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from understudy.contracts.call import Outcome
    from understudy.contracts.moderation import ModerationResult


@click.command(cls=TextCommand)
@click.argument("text")
@click.option("--rules", "rules_file", metavar="FILE", help="A file with the group's rules; - is standard input.")
@call_options
def moderate(text: str, rules_file: str | None, **options: Any) -> None:
    """Judge one message. TEXT is the message, or - for standard input."""
    if text == rules_file == "-":
        raise InvalidRequest("moderate: only one of TEXT and --rules can be standard input.")
    fields: dict[str, Any] = {}
    if rules_file is not None:
        fields["rules"] = text_of("-") if rules_file == "-" else text_in(rules_file)
    message = text_of(text)
    outcome = _answered(lambda llm: llm.moderate(message, **fields, **options))
    _show(outcome, _verdict)


@click.command(cls=TextCommand)
@click.argument("text")
@click.option("--language", help="Of the name; without it, the message's own.")
@click.option("--max-length", type=int, help="Longest name, in characters (default 20).")
@call_options
def name(text: str, language: str | None, max_length: int | None, **options: Any) -> None:
    """Name a thread. TEXT is its first message, or - for standard input."""
    fields: dict[str, Any] = {"language": language, "max_length": max_length}
    given = {field: value for field, value in fields.items() if value is not None}
    message = text_of(text)
    outcome = _answered(lambda llm: llm.name_thread(message, **given, **options))
    _show(outcome, lambda result: str(result.name))


@click.command(cls=TextCommand)
@click.argument("text")
@click.option("--system", metavar="TEXT", help="The system prompt.")
@call_options
def ask(text: str, system: str | None, **options: Any) -> None:
    """Ask a question. TEXT is the question, or - for standard input."""
    messages = [{"role": "user", "content": text_of(text)}]
    outcome = _answered(lambda llm: llm.agent_turn(messages, system, **options))
    _show(outcome, lambda result: str(result.text))


def _answered(request: Callable[[Understudy], Awaitable[Outcome[Any]]]) -> Outcome[Any]:
    async def wait() -> Outcome[Any]:
        async with Understudy.from_settings() as llm:
            return await request(llm)

    return asyncio.run(wait())


def _show(outcome: Outcome[Any], answer: Callable[[Any], str]) -> None:
    """The answer goes to standard output, how it came about to standard error."""
    if is_json():
        document(outcome.model_dump(mode="json"))
        return
    line(answer(outcome.result))
    who = "no provider, a substitute" if outcome.degraded else f"{outcome.provider} ({outcome.model})"
    tries = count(len(outcome.attempts), "attempt")
    cost = f", {outcome.cost_microusd / 1_000_000:.6f} USD" if outcome.cost_microusd else ""
    note(f"{who}, {tries}, {span(outcome.total_ms)}{cost}, call {outcome.call_id}")


def _verdict(result: ModerationResult) -> str:
    if result.needs_review:
        return f"action: none\nneeds review: {result.reason}"
    if result.screened:
        violation = result.violation.value if result.violation else "none"
        return f"action: {result.action.value}\nviolation: {violation}\nscreened: {result.reason}"
    helpful = "yes" if result.helpful else "no"
    return (
        f"action: {result.action.value}\n"
        f"violation: {result.violation.value if result.violation else 'none'}\n"
        f"helpful: {helpful}\n"
        f"quality: {result.quality_score} of 10\n"
        f"reason: {result.reason}"
    )
