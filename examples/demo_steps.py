"""The steps of the demo, each a check of what came out."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from examples.demo_board import Board, answer_of, tries_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from bot_client import Outcome, ProviderStatus, Understudy
    from examples.demo_board import Step
    from examples.demo_stack import DemoStack, Endpoint

MESSAGES = Path(__file__).resolve().parents[1] / "workers" / "demo_messages.tsv"
QUESTION = "How do I back up the photos on my phone before I reset it?"
SYSTEM = "You help the members of a photography group, in two sentences at most."

TO_OPEN = 3
"""Failures in a row that open a breaker, and successes that close it again."""

SOON_S = 15.0
WARM_UP_S = 120.0
AT_ONCE_REAL = 2
"""A model on this machine answers one or two at a time."""

# Of a request that a provider never saw.
UNSEEN = frozenset({"refused"})
DOWN = frozenset({"refused", "reset"})


def read_messages(path: Path = MESSAGES) -> list[str]:
    """The messages of the file, whose first lines name their source and licence."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return [line.partition("\t")[2] for line in lines if line and not line.startswith("#")]


class Demo:
    """Runs the steps one after another."""

    def __init__(self, llm: Understudy, stack: DemoStack, board: Board) -> None:
        self._llm = llm
        self._stack = stack
        self._board = board
        self._primary: Endpoint = stack.providers[0]

    async def run(self) -> None:
        """All steps; one that does not hold does not keep the next from being tried."""
        await self._ready()
        await self._moderate()
        await self._name_and_answer()
        await self._outage()
        await self._return()
        counted = [provider for provider in self._stack.providers if provider.admin_url]
        who = " and ".join(provider.counter for provider in counted)
        with self._board.step(f"over all calls, {who} counted the requests that the attempts report") as step:
            seen = [await self._agree(step, one, self._board.outcomes, 0) for one in counted]
            step.detail = ", ".join(map(str, seen))

    async def _ready(self) -> None:
        with self._board.step("Redis answers, and every provider has a worker on its queue") as step:
            seen = await self._llm.provider_status()
            step.check(all(row.concurrency for row in seen), "a queue has no worker")
            step.check(all(row.breaker == "closed" for row in seen), "a breaker is not closed")
            step.detail = ", ".join(f"{row.name}: {row.concurrency} at once" for row in seen)
        if self._primary.real:
            with self._board.step(f"{self._primary.name} has loaded its model"):
                turn = [{"role": "user", "content": "Say yes."}]
                loaded = await self._llm.agent_turn(turn, max_tokens=16, spend="never", deadline_s=WARM_UP_S)
                self._board.answered("agent turn, to load", [loaded])

    async def _moderate(self) -> None:
        texts = read_messages()
        at_once = asyncio.Semaphore(AT_ONCE_REAL if self._primary.real else len(texts))

        async def moderate(text: str) -> Outcome[Any]:
            async with at_once:
                outcome = await self._llm.moderate(text)
                self._board.message(answer_of(outcome), text)
                return outcome

        by = "" if self._primary.real else f", all from {self._primary.called}"
        with self._board.step(f"{len(texts)} messages got one verdict each{by}") as step:
            before = await self._seen_by(self._primary)
            outcomes = await asyncio.gather(*(moderate(text) for text in texts))
            self._board.answered(f"{len(texts)} moderations", outcomes)
            step.check(len({o.call_id for o in outcomes}) == len(texts), "two messages shared one call")
            step.check(not any(o.degraded for o in outcomes), "a verdict was made without a provider")
            if not self._primary.real:
                self._all_by(step, outcomes, self._primary.name, attempts=1)
        with self._board.step(f"{self._primary.counter} counted the requests that the attempts report") as step:
            step.detail = f"{await self._agree(step, self._primary, outcomes, before)} each"

    async def _name_and_answer(self) -> None:
        with self._board.step("a thread got a name") as step:
            named = await self._llm.name_thread(QUESTION)
            self._board.answered("thread naming", [named])
            name = named.result.name if named.result else ""
            step.check(3 <= len(name) <= 20, "the name is too short or too long")
            step.check(not named.degraded, "it was made without a provider")
            step.detail = name
        with self._board.step("an agent turn got an answer") as step:
            turn = await self._llm.agent_turn([{"role": "user", "content": QUESTION}], SYSTEM)
            self._board.answered("agent turn", [turn])
            step.check(turn.result and turn.result.text.strip(), "the answer is empty")
            step.detail = f"{turn.usage.total_tokens or 0} tokens"

    async def _outage(self) -> None:
        name, fallback = self._primary.name, self._stack.providers[1].name
        self._board.say(f"Stopping {name}: {self._how} ...")
        with self._board.step(f"the first {TO_OPEN} calls found {name} down and were answered by another") as step:
            # A slow real one may have failed before.
            await self._llm.clear_health()
            await self._stack.stop_provider(name)
            outcomes = await self._ask(TO_OPEN, "primary down")
            for outcome in outcomes:
                step.check(outcome.attempts[0].provider == name, f"a call went elsewhere: {tries_of(outcome)}")
                step.check(outcome.attempts[0].what in DOWN, f"it was not down: {tries_of(outcome)}")
                step.check(outcome.provider != name, f"it answered: {tries_of(outcome)}")
            fallback = str(outcomes[-1].provider)
            step.detail = tries_of(outcomes[-1])
        with self._board.step(f"{name}'s breaker is open, and the fallback preferred") as step:
            seen = await self._until(lambda rows: rows[name].breaker == "open" and rows[fallback].preferred)
            step.detail = f"why: {seen[name].why}"
        with self._board.step("while it is open, calls go to the fallback at once") as step:
            self._all_by(step, await self._ask(TO_OPEN, "breaker open"), fallback, attempts=1)

    async def _return(self) -> None:
        name = self._primary.name
        self._board.say(f"Starting {name} again ...")
        with self._board.step(f"a probe found {name} back: its breaker is half-open") as step:
            await self._stack.start_provider(name)
            began = time.monotonic()
            await self._until(lambda rows: rows[name].breaker == "half_open")
            step.detail = f"after {time.monotonic() - began:.1f} s"
        with self._board.step(f"{name} answers again, its breaker is closed and the preference gone") as step:
            self._all_by(step, await self._ask(TO_OPEN, "primary back"), name, attempts=1)
            await self._until(
                lambda rows: rows[name].breaker == "closed" and not any(row.preferred for row in rows.values())
            )

    @property
    def _how(self) -> str:
        if self._primary.real:
            return "the relay in front of it is cut, the real one is not touched"
        return "its stand-in refuses connections"

    async def _ask(self, count: int, when: str) -> list[Outcome[Any]]:
        """Some calls, one after another."""
        outcomes = [await self._llm.moderate(text) for text in read_messages()[:count]]
        self._board.answered(f"{count}, {when}", outcomes)
        return outcomes

    def _all_by(self, step: Step, outcomes: list[Outcome[Any]], name: str, *, attempts: int) -> None:
        for outcome in outcomes:
            step.check(outcome.provider == name and len(outcome.attempts) == attempts, f"one took: {tries_of(outcome)}")

    async def _until(self, holds: Callable[[dict[str, ProviderStatus]], bool]) -> dict[str, ProviderStatus]:
        """Look at the providers' health until it is as it should be."""
        rows: dict[str, ProviderStatus] = {}
        try:
            async with asyncio.timeout(SOON_S):
                while not (rows and holds(rows)):
                    rows = {row.name: row for row in await self._llm.provider_status()}
                    await asyncio.sleep(0.05)
        except TimeoutError:
            health = ", ".join(f"{row.name} {row.breaker}" for row in rows.values())
            raise TimeoutError(f"not so within {SOON_S:g} s: {health}") from None
        return rows

    async def _seen_by(self, provider: Endpoint) -> int:
        """How many requests of calls a stand-in or relay has counted."""
        return int((await self._stack.counts(provider.name))["chat"]["total"])

    async def _agree(self, step: Step, provider: Endpoint, outcomes: list[Outcome[Any]], before: int) -> int:
        """Check that a provider saw just the requests that the attempts report; returns how many."""
        reported = sum(
            attempt.requests
            for outcome in outcomes
            for attempt in outcome.attempts
            if attempt.provider == provider.name and attempt.what not in UNSEEN
        )
        seen = await self._seen_by(provider) - before
        step.check(seen == reported, f"{provider.counter} counted {seen}, and the attempts report {reported}")
        return seen
