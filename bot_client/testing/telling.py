"""What a scripted turn says to those who stream it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from bot_client.events import Delta, Restarted, Started, ToolCalled, ToolReturned
from bot_client.feed import Feed
from understudy.contracts.call import AnyOutcome, Status
from understudy.contracts.text import TURN_BREAK

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Sequence

    from bot_client.events import AgentEvent
    from bot_client.testing.script import Plan

_WORD = re.compile(r"\s*\S+|\s+$")


class Telling(Feed):
    """The events of one scripted call, given one by one; text comes word by word.

    Args:
        plan: what becomes of the call.
        providers: those that may answer it, the first one first.
        model: of all of them.
        wait: until the call has ended.
    """

    def __init__(self, plan: Plan, providers: Sequence[str], model: str, wait: Callable[[], Awaitable[Any]]) -> None:
        super().__init__()
        self._wait = wait
        self._shown = "" if plan.failures else plan.said
        for event in _beginning(plan, providers, model):
            self.put(event)

    async def after(self, position: int) -> tuple[list[AgentEvent], int]:
        """The next event; the call is waited for where it comes only then."""
        if position >= len(self._events) and not self._closed:
            await self._wait()
        return self._events[position : position + 1], position + 1

    def end(self, outcome: AnyOutcome) -> None:
        """The call has ended: say the rest."""
        if outcome.status is Status.DONE and outcome.result is not None:
            for event in _ending(outcome.result, self._shown):
                self.put(event)
        self.close()


def _beginning(plan: Plan, providers: Sequence[str], model: str) -> Iterator[AgentEvent]:
    failures = dict(zip(providers, plan.failures, strict=False))
    failed = ""
    for number, name in enumerate(providers[: len(failures) + 1]):
        if failed and plan.said and number == 1:
            yield Restarted(name, failed)
        yield Started(name, model)
        if number == 0:
            yield from _words(plan.said)
        failed = failures.get(name, "")


def _ending(result: dict[str, Any], shown: str) -> Iterator[AgentEvent]:
    """Steps and text of a turn that is done, but for the beginning that was shown."""
    names: dict[str, str] = {}
    gap = ""
    for step in result.get("steps") or ():
        if step["role"] == "tool":
            yield ToolReturned(step["tool_call_id"], names.get(step["tool_call_id"], ""), step["content"], ok=True)
            continue
        if step["content"]:
            yield from _words(gap + step["content"])
            gap = TURN_BREAK
        for call in step["tool_calls"] or ():
            names[call["id"]] = call["function"]["name"]
            yield ToolCalled(call["id"], call["function"]["name"], call["function"]["arguments"])
    if not result.get("tool_calls"):
        yield from _words((gap + result["text"]).removeprefix(shown))


def _words(text: str) -> Iterator[AgentEvent]:
    return map(Delta, _WORD.findall(text))
