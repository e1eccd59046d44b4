"""Agent turn: the conversation as a prompt, and the reading of the assistant's message."""

from __future__ import annotations

from typing import Any

from celery import shared_task

from tasks.answer import reask, settled_text
from understudy.contracts.agent_turn import KIND, AgentTurnRequest, AgentTurnResult
from understudy.contracts.text import strip_reasoning
from workers.execute import KindTask, execute
from workers.kind_work import KindWork, Prompt, Reply, register
from workers.tools import Offer, offer
from workers.unusable import Unusable


def build(request: AgentTurnRequest) -> Prompt:
    """The prompt of a request: the system prompt, then the history as it is."""
    system = [{"role": "system", "content": request.system}] if request.system else []
    history = [message.model_dump(mode="json", exclude_none=True) for message in request.messages]
    return Prompt([*system, *history], temperature=request.temperature, max_tokens=request.max_tokens, trims=True)


def read(reply: Reply, request: AgentTurnRequest) -> AgentTurnResult:
    """The assistant's message, without its reasoning.

    Raises:
        Refused: the model or a content filter declined.
        Unusable: it is empty, or cut off at a limit that is not the caller's own.
    """
    if reply.finish_reason == "length" and request.max_tokens is not None and not reply.refusal:
        # The caller asked for no more, so a cut is no fault.
        text = strip_reasoning(reply.text)
        if not text:
            raise Unusable("empty", "The token limit was used up before any text.")
        return AgentTurnResult(text=text, finish_reason="length")
    return AgentTurnResult(text=settled_text(reply), finish_reason="stop")


def offered(request: AgentTurnRequest) -> Offer | None:
    """The tools that the model may call.

    Raises:
        UnknownTool: the workers do not have one of them.
    """
    return offer(request.tools, request.max_model_turns)


SAMPLE = {"system": ".", "messages": [{"role": "user", "content": "."}]}
WORK = register(KindWork(KIND, build, read, reask, offered, sample=SAMPLE, escapes=False, streams=True))


@shared_task(base=KindTask, bind=True, name=KIND.name)
def agent_turn(
    self: KindTask, request: object = None, call: object = None, dispatch: object = None
) -> dict[str, Any] | None:
    """Work on one message; see `workers.execute`."""
    return execute(self, KIND.name, request, call, dispatch)
