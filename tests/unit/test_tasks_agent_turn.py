"""The conversation goes out as it is; the assistant's message comes back without its reasoning."""

from __future__ import annotations

from typing import Any

import pytest

from tasks.agent_turn import WORK, build, read
from understudy.contracts.agent_turn import AgentTurnRequest
from workers.kind_work import Reply, work_for
from workers.unusable import Refused, Unusable

USER = {"role": "user", "content": "Weather?"}
CALL = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}


def _request(**more: Any) -> AgentTurnRequest:
    return AgentTurnRequest.model_validate({"messages": [USER], **more})


def test_importing_the_module_makes_the_kind_known() -> None:
    assert work_for("agent_turn") is WORK


def test_the_prompt_is_the_system_prompt_and_the_history() -> None:
    history = [
        {"role": "user", "content": "Weather?", "name": "ann"},
        {"role": "assistant", "tool_calls": [CALL]},
        {"role": "tool", "content": "rain", "tool_call_id": "c1"},
    ]
    prompt = build(AgentTurnRequest.model_validate({"system": "Be brief.", "messages": history, "temperature": 0.5}))
    assert prompt.messages == [{"role": "system", "content": "Be brief."}, *history]
    assert (prompt.response_format, prompt.temperature, prompt.max_tokens) == (None, 0.5, None)
    assert build(_request()).messages == [USER]


@pytest.mark.parametrize("finish_reason", ["stop", None, "eos", "tool_calls"])
def test_the_text_comes_back_without_reasoning(finish_reason: str | None) -> None:
    result = read(Reply("<think>hm</think>\n\nRain, says `<think>`.", finish_reason), _request())
    assert (result.text, result.finish_reason) == ("Rain, says `<think>`.", "stop")


def test_a_cut_at_the_callers_own_limit_is_an_answer() -> None:
    result = read(Reply("It will rai", "length"), _request(max_tokens=5))
    assert (result.text, result.finish_reason) == ("It will rai", "length")


@pytest.mark.parametrize(
    ("reply", "limits", "row"),
    [
        (Reply("", "stop"), {}, "empty"),
        (Reply("<think>hm</think> ", "stop"), {}, "empty"),
        (Reply("It will rai", "length"), {}, "token_limit"),
        (Reply("<think>It will rai", "length"), {"max_tokens": 5}, "empty"),
        (Reply("", "tool_calls", tool_calls=(CALL,)), {}, "wrong_schema"),
    ],
)
def test_what_holds_no_answer_is_unusable(reply: Reply, limits: dict[str, int], row: str) -> None:
    with pytest.raises(Unusable) as caught:
        read(reply, _request(**limits))
    assert caught.value.row == row


@pytest.mark.parametrize(
    ("reply", "row"),
    [
        (Reply("", "content_filter"), "content_filter"),
        (Reply("", "stop", refusal="No."), "refusal"),
        (Reply("", "length", refusal="No."), "refusal"),
    ],
)
def test_a_refusal_is_no_answer(reply: Reply, row: str) -> None:
    with pytest.raises(Refused) as caught:
        read(reply, _request(max_tokens=5))
    assert caught.value.row == row


def test_a_second_question_keeps_the_conversation() -> None:
    prompt = build(_request())
    again = WORK.reask(prompt, Reply("", "stop"), "The answer was empty.")
    assert again.messages[:1] == prompt.messages
    assert again.messages[-1] == {
        "role": "user",
        "content": "Your answer cannot be used. The answer was empty. Answer again.",
    }
