"""The model turns of one attempt: the model calls tools, they run, and it is asked again, until it answers in text."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from redis.exceptions import RedisError

from understudy.contracts.agent_turn import AgentTurnResult, Message, ToolCall
from understudy.errors import InvalidRequest
from understudy.state.transcript import MAX_BYTES, End, Row, Start, Turn, read, step, written
from workers.leases import LeaseLost
from workers.tool_message import assistant_message, summed
from workers.tool_run import INTERRUPTED, checked, content_of, object_of, run

if TYPE_CHECKING:
    from collections.abc import Sequence

    from understudy.contracts.call import Usage
    from workers.chat_reply import Reply as ChatReply
    from workers.context import Context
    from workers.kind_work import Prompt, Reply
    from workers.run import Run
    from workers.speech import Speech
    from workers.tools import Offer, Tool

RESERVE = 4_000
"""Bytes of the transcript that are kept for what is said about tools: outputs are cut to what is left beside it."""

MAX_NAMES = 20
"""Of tools there are, in the sentence about one that there is not."""


class TranscriptFull(Exception):
    """The tool calls of one turn fill all the room that a call has for them."""


class ToolLoop:
    """What the tools of one call have done, in this attempt and in those before it.

    Args:
        offer: what the model may call; None: nothing, and everything here is idle.
        base: the prompt that the request alone gives.
    """

    def __init__(self, context: Context, run: Run, offer: Offer | None, base: Prompt, speech: Speech) -> None:
        self._context = context
        self._run = run
        self._offer = offer
        self._own = offer.own if offer else {}
        self._names = offer.names if offer else frozenset()
        self._base = base
        self._speech = speech
        self._written = list(run.steps)
        self._rows: list[Row] = read(run.steps)
        self._contents: dict[str, str] = {}
        self._storing = asyncio.Lock()

    @property
    def turns(self) -> int:
        """Model turns that called tools."""
        return len(self._turns())

    @property
    def prompt(self) -> Prompt:
        """What is asked next: without tools, once the model has had its turns."""
        messages = [*self._base.messages, *self._messages()]
        offered = self._offer.described if self._offer and self.turns < self._offer.max_turns else []
        return replace(self._base, messages=messages, tools=offered)

    @property
    def model(self) -> str:
        """The model of the latest turn; empty where there was none."""
        return next((turn.model for turn in reversed(self._turns())), "")

    def usage(self, last: Usage | None = None) -> Usage:
        """What all model turns of the call took together."""
        return summed([*(turn.usage for turn in self._turns()), *([last] if last else [])])

    async def resume(self) -> AgentTurnResult | None:
        """Go on from what earlier attempts left; a result where the bot is to run its tools.

        A tool that had started and not ended is run again only if that does no harm.

        Raises:
            LeaseLost: the call is not ours any more.
        """
        if not self._offer or not self._rows:
            return None
        self.say_again()
        started, ended = self._starts(), self._ends()
        left = [call for call in self._latest_calls() if call["id"] in started and call["id"] not in ended]
        await self._run_all([(call, self._again(call, started[call["id"]])) for call in left])
        return self._for_the_bot()

    def say_again(self) -> None:
        """Tell those who watch what is kept, after they were told to drop what they showed."""
        calls: dict[str, Any] = {}
        for row in self._rows:
            if isinstance(row, Turn):
                self._speech.settled(row.message.get("content") or "")
                for call in row.message["tool_calls"]:
                    calls[call["id"]] = call
                    self._say_call(call)
            elif isinstance(row, End):
                self._say_end(calls[row.call], row)

    async def take(self, reply: Reply, chat: ChatReply) -> AgentTurnResult | None:
        """Take a model turn that called tools: run ours. A result where the bot is to run its own.

        Raises:
            LeaseLost: the call is not ours any more.
            TranscriptFull: there is no room for what the model wrote.
            Unusable: the turn breaks the limits of the contract.
        """
        message = assistant_message(reply, {call["id"] for row in self._turns() for call in row.message["tool_calls"]})
        latest = [
            (call, self._plan(call, raw)) for call, raw in zip(message["tool_calls"], reply.tool_calls, strict=True)
        ]
        rows: list[Row] = [Turn(message, chat.model, chat.usage)]
        for call, plan in latest:
            if isinstance(plan, End):
                rows.append(plan)
            elif plan is not None:
                rows.append(Start(call["id"], plan[0].idempotent))
        await self._store(rows, turn=True)
        self._speech.settled(message["content"] or "")
        for call, plan in latest:
            self._say_call(call)
            if isinstance(plan, End):
                self._say_end(call, plan)
        await self._run_all([(call, plan) for call, plan in latest if isinstance(plan, tuple)])
        return self._for_the_bot()

    @staticmethod
    def is_turn(reply: Reply) -> bool:
        """Whether the model called tools, and was neither cut off nor stopped in it."""
        return bool(reply.tool_calls) and not reply.refusal and reply.finish_reason not in ("length", "content_filter")

    def finished(self, result: Any) -> Any:
        """The result, with what led to it."""
        return result.model_copy(update={"steps": self._steps()}) if self._rows else result

    def _plan(self, call: dict[str, Any], raw: dict[str, Any]) -> tuple[Tool, Any] | End | None:
        """What is to happen with a call: the tool and its arguments, what the model is told at once, or the bot's."""
        name, arguments = raw["function"]["name"], object_of(raw["function"]["arguments"])
        tool = self._own.get(name)
        if tool is None and name not in self._names:
            there_are = ", ".join(sorted(self._names)[:MAX_NAMES])
            return End(call["id"], False, f"There is no tool of this name; there are: {there_are}.")
        if arguments is None:
            return End(call["id"], False, "The arguments are not a JSON object.")
        if tool is None:
            return None
        try:
            return tool, checked(tool, arguments)
        except InvalidRequest as error:
            return End(call["id"], False, str(error))

    def _again(self, call: dict[str, Any], start: Start) -> tuple[Tool, Any] | End:
        """What becomes of a tool that had started when its worker went."""
        plan = self._plan(call, call) if start.idempotent else None
        return plan or End(call["id"], False, INTERRUPTED)

    async def _run_all(self, plans: Sequence[tuple[dict[str, Any], tuple[Tool, Any] | End]]) -> None:
        """Side by side; each end is kept as soon as it is there."""
        self._room_each = self._room() // max(1, len(plans))
        tasks = [asyncio.create_task(self._run_one(call, plan)) for call, plan in plans]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()

    async def _run_one(self, call: dict[str, Any], plan: tuple[Tool, Any] | End) -> None:
        if isinstance(plan, End):
            end = plan
        else:
            tool, arguments = plan
            most = max(100, min(tool.max_output, self._room_each))
            result = await run(replace(tool, max_output=most), arguments, self._run.left_s())
            end = End(call["id"], result.ok, result.output, result.note)
        await self._store([end])
        self._say_end(call, end)

    def _room(self) -> int:
        # a character takes up to 6 bytes where JSON escapes it
        return max(0, MAX_BYTES - RESERVE - sum(len(row.encode()) for row in self._written)) // 6

    async def _store(self, rows: list[Row], *, turn: bool = False) -> None:
        """Keep rows in the ledger, one write after the other; what Redis has lost of them is written again."""
        async with self._storing:
            n = len(self._written) + 1
            self._rows += rows
            self._written += map(written, rows)
            until = asyncio.get_running_loop().time() + max(0.0, self._run.left_s())
            while True:
                try:
                    reply = await self._context.insist(lambda n=n: self._step(n, turn), until=until)  # type: ignore[misc]
                except (RedisError, OSError):
                    raise LeaseLost from None
                if reply.word != "gap":
                    break
                n = reply.number("have") + 1
            if reply.word == "full":
                raise TranscriptFull
            if reply.word != "stored":
                raise LeaseLost

    async def _step(self, n: int, turn: bool) -> Any:
        rows = self._written[n - 1 :]
        return await step(self._context.ledger, self._run.call_id, epoch=self._run.epoch, n=n, rows=rows, turn=turn)

    def _for_the_bot(self) -> AgentTurnResult | None:
        """The end of the turn, where the bot is to run tools of its own."""
        ended = self._ends()
        calls = tuple(ToolCall.model_validate(call) for call in self._latest_calls() if call["id"] not in ended)
        if not calls:
            return None
        steps = self._steps()
        said = next(step.content for step in reversed(steps) if step.role == "assistant")
        return AgentTurnResult(text=said or "", finish_reason="tool_calls", tool_calls=calls, steps=steps)

    def _latest_calls(self) -> list[dict[str, Any]]:
        turns = self._turns()
        return turns[-1].message["tool_calls"] if turns else []

    def _turns(self) -> list[Turn]:
        return [row for row in self._rows if isinstance(row, Turn)]

    def _starts(self) -> dict[str, Start]:
        return {row.call: row for row in self._rows if isinstance(row, Start)}

    def _ends(self) -> dict[str, End]:
        return {row.call: row for row in self._rows if isinstance(row, End)}

    def _messages(self) -> list[dict[str, Any]]:
        """What the rows say, in the form of the chat completions API; results in the order of their calls."""
        ended = self._ends()
        messages: list[dict[str, Any]] = []
        for turn in (turn.message for turn in self._turns()):
            messages.append({name: value for name, value in turn.items() if value is not None})
            for call in turn["tool_calls"]:
                if end := ended.get(call["id"]):
                    content = self._content(call["function"]["name"], end)
                    messages.append({"role": "tool", "tool_call_id": call["id"], "content": content})
        return messages

    def _content(self, name: str, end: End) -> str:
        """Framing a long output takes milliseconds, and each further prompt has it."""
        if end.call not in self._contents:
            self._contents[end.call] = content_of(name, end)
        return self._contents[end.call]

    def _steps(self) -> tuple[Message, ...]:
        return tuple(map(Message.model_validate, self._messages()))

    def _say_call(self, call: dict[str, Any]) -> None:
        self._speech.tool_called(call["id"], **call["function"])

    def _say_end(self, call: dict[str, Any], end: End) -> None:
        self._speech.tool_returned(call["id"], call["function"]["name"], end.output, ok=end.ok)
