"""What one attempt tells those who stream its call: text as it comes, tools, and where an answer begins anew."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from understudy.contracts.text import TURN_BREAK
from workers.answer_text import AnswerText

if TYPE_CHECKING:
    from workers.context import Context
    from workers.run import Run

REASONING = "reasoning"
"""Why an answer begins anew whose start turned out to be thought aloud."""


class Speech:
    """Speaks for one run, in the same way for every provider and every shape of answer.

    What was said adds up to the texts that `settled` was given, each model turn's after a `TURN_BREAK`.
    """

    def __init__(self, context: Context, run: Run) -> None:
        self._context = context
        self._run = run
        self._model = (run.provider.name, run.provider.model)
        self._kept: list[tuple[str, str | dict[str, Any]]] = []
        """What stands whatever becomes of the present request: earlier model turns, and what tools did."""
        self._texts = 0
        """Of them, how many are text."""
        self._begun = False
        """Something of the present answer was said."""
        self._answer = self._new_answer()

    def piece(self, text: str) -> None:
        """The provider sent some of its answer's text."""
        forget, fresh = self._answer.feed(text)
        if forget:
            self._context.thinks_first.add(self._model)
            self._begin_anew(REASONING)
        self._add(fresh)

    def settled(self, text: str) -> None:
        """A model turn's text is whole, and this is it; also of one that an earlier attempt was given."""
        if self._answer.is_thinking:
            self._context.thinks_first.discard(self._model)
        forget, fresh = self._answer.settle(text)
        if forget:
            self._begin_anew(REASONING)
        self._add(fresh)
        if text:
            self._kept.append(("delta", self._break() + text))
            self._texts += 1
        self._answer, self._begun = self._new_answer(), False

    def restart(self, why: str) -> None:
        """The same provider is asked again: what it said to the present request is dropped."""
        if self._answer.has_shown:
            self._begin_anew(why)
        self._answer, self._begun = self._new_answer(), False

    def tool_called(self, id: str, name: str, arguments: str) -> None:  # noqa: A002 - the API's word
        """The model calls a tool."""
        self._keep("tool_call", {"id": id, "name": name, "arguments": arguments})

    def tool_returned(self, id: str, name: str, content: str, *, ok: bool) -> None:  # noqa: A002 - as above
        """A tool returned, or failed."""
        self._keep("tool_result", {"id": id, "name": name, "content": content, "ok": ok})

    def _new_answer(self) -> AnswerText:
        return AnswerText(thinks_first=self._model in self._context.thinks_first)

    def _keep(self, kind: str, data: dict[str, Any]) -> None:
        self._kept.append((kind, data))
        self._context.deltas.say(self._run, kind, data)

    def _begin_anew(self, why: str) -> None:
        self._context.deltas.say(self._run, "restarted", {"provider": self._run.provider.name, "why": why})
        self._begun = False
        for kind, data in self._kept:
            self._context.deltas.say(self._run, kind, data)

    def _add(self, text: str) -> None:
        if text:
            self._context.deltas.say(self._run, "delta", text if self._begun else self._break() + text)
            self._begun = True

    def _break(self) -> str:
        return TURN_BREAK if self._texts else ""
