"""What a request may offer as tools: names and descriptions, checked before anything is queued."""

from __future__ import annotations

import re
from typing import Any

import pytest

from understudy.contracts.agent_turn import KIND, AgentTurnResult, Message, ToolCall
from understudy.contracts.json_schema import schema_fault
from understudy.contracts.kind import request_hash
from understudy.contracts.tools import MAX_SCHEMA, ToolSpec, needs_tools
from understudy.errors import InvalidRequest

USER = {"role": "user", "content": 'Say "tools":["x"], or {"tools":["x"]}'}
OBJECT = {"type": "object"}
CALL = {"id": "c1", "type": "function", "function": {"name": "light", "arguments": "{}"}}


def parse(**more: Any) -> Any:
    return KIND.parse({"messages": [USER], **more})


def of(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


@pytest.mark.parametrize(
    "schema",
    [
        OBJECT,
        of(a={"type": "string", "enum": ["x"], "minLength": 0}, b={"type": ["integer", "null"], "minimum": -1.5}),
        of(a={"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "number"}}]}, b=True),
        {**of(a={"$ref": "#/$defs/A~1b"}), "$defs": {"A/b": {"type": "string"}}, "required": ["a"]},
        {"type": "object", "required": ["free"], "x-own": object},
        {**of(**{"$ref": {"type": "string"}, "type": {"type": "string"}}), "additionalProperties": False},
        of(a={"$ref": "#"}),
    ],
)
def test_what_is_json_schema_passes(schema: dict[str, Any]) -> None:
    assert schema_fault(schema) is None


@pytest.mark.parametrize(
    ("schema", "fault"),
    [
        ([], "must be an object"),
        ({}, 'is not the schema of an object: its type must be "object"'),
        ({"type": "string"}, 'is not the schema of an object: its type must be "object"'),
        (of(a="string"), "properties.a must be an object or true or false"),
        (of(a={"type": "text"}), "properties.a.type must be one of object, array, string"),
        (of(a={"type": ["string", "string"]}), "properties.a.type must be one of"),
        (of(a={"type": []}), "properties.a.type must be one of"),
        ({"type": "object", "properties": []}, "properties must be an object"),
        ({"type": "object", "required": "a"}, "required must be a list of names, each once"),
        ({"type": "object", "required": ["a", "a"]}, "required must be a list of names, each once"),
        ({**OBJECT, "additionalProperties": False, "required": ["a"]}, "required names a, which is none of the"),
        (of(a={"enum": []}), "properties.a.enum must be a list of at least one value"),
        (of(a={"type": "array", "items": [1]}), "properties.a.items must be an object or true or false"),
        (of(a={"anyOf": []}), "properties.a.anyOf must be a list of at least one schema"),
        (of(a={"oneOf": [{"type": "x"}]}), r"properties.a.oneOf\[0\].type must be one of"),
        (of(a={"minLength": -1}), "properties.a.minLength must be a whole number of at least 0"),
        (of(a={"minimum": "1"}), "properties.a.minimum must be a number"),
        (of(a={"multipleOf": 0}), "properties.a.multipleOf must be a number above 0"),
        (of(a={"pattern": 1}), "properties.a.pattern must be text"),
        (of(a={"$ref": "#/$defs/A"}), r"properties.a.\$ref leads nowhere within the schema"),
        (of(a={"$ref": "http://x/y"}), r"properties.a.\$ref leads nowhere"),
    ],
)
def test_what_is_not_json_schema_is_named(schema: Any, fault: str) -> None:
    assert re.search(fault, schema_fault(schema) or "passed")


def test_a_schema_that_never_ends_is_refused() -> None:
    schema: dict[str, Any] = {"type": "object"}
    for _ in range(30):
        schema = of(a=schema)
    assert schema_fault(schema) == "is not JSON schema: it is nested deeper than 20 schemas"


@pytest.mark.parametrize(
    ("tools", "sentence"),
    [
        (["clock", "clock"], r"tools name clock twice: [0] and [1]"),
        (["clock", {"name": "clock"}], r"tools name clock twice: [0] and [1]"),
        (["two words"], "tools[0] must match ^[A-Za-z0-9_-]{1,64}$"),
        (
            [{"name": "x", "parameters": {"type": "list"}}],
            'tools[0].parameters is not the schema of an object: its type must be "object"',
        ),
        ([{"name": "x", "function": "y"}], "tools[0].function is not a known field"),
        ([{"type": "function", "function": {}}], "tools[0].name is missing"),
        ([7], "tools[0] must be an object, not a number"),
        ("clock", "tools must be a list, not text"),
        (
            [{"name": "x", "parameters": {**OBJECT, "description": "y" * MAX_SCHEMA}}],
            "tools[0].parameters has 20,037 characters as JSON; at most 20,000 are allowed",
        ),
        (
            [{"name": "x", "parameters": {**OBJECT, "x": float("nan")}}],
            "tools[0].parameters is not JSON schema: it holds what JSON cannot",
        ),
        (
            [{"name": f"t{n}", "description": "y" * 4_000} for n in range(26)],
            "tools have 104,936 characters together; at most 100,000 are allowed",
        ),
        ([f"t{n}" for n in range(129)], "tools has 129 entries; at most 128 are allowed"),
    ],
)
def test_a_bad_offer_gives_one_sentence(tools: Any, sentence: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse(tools=tools)
    assert str(caught.value) == f"agent_turn: {sentence}."


@pytest.mark.parametrize("turns", [0, 33, 2.0, "8"])
def test_model_turns_are_a_whole_number_within_limits(turns: Any) -> None:
    with pytest.raises(InvalidRequest, match=r"^agent_turn: max_model_turns "):
        parse(max_model_turns=turns)


def test_a_description_in_the_form_of_the_api_is_taken() -> None:
    spec = {"name": "light", "parameters": of(on={"type": "boolean"})}
    assert parse(tools=[{"type": "function", "function": spec}]) == parse(tools=[ToolSpec.model_validate(spec)])


def test_whether_tools_are_needed_is_read_off_the_recorded_request() -> None:
    for tools in (["clock"], [{"name": "light"}]):
        request = parse(tools=tools)
        assert needs_tools(request.model_dump_json(exclude_none=True))
        assert needs_tools(request.model_dump_json(exclude_defaults=True))
    for request in (parse(), parse(tools=[]), parse(tools=None)):
        assert not needs_tools(request.model_dump_json())
    assert request_hash("agent_turn", parse(tools=[])) == request_hash("agent_turn", parse())


def test_a_result_has_text_or_calls_and_says_what_the_history_gets() -> None:
    with pytest.raises(ValueError, match="neither text nor tool_calls"):
        AgentTurnResult(text="", finish_reason="stop")
    call = ToolCall.model_validate(CALL)
    asked = Message(role="assistant", tool_calls=(call,))
    done = Message(role="tool", tool_call_id="c1", content="on")
    text = AgentTurnResult(text="It is on.", finish_reason="stop", steps=(asked, done))
    assert [message.role for message in text.new_messages] == ["assistant", "tool", "assistant"]
    calls = AgentTurnResult(text="", finish_reason="tool_calls", tool_calls=(call,), steps=(asked,))
    assert calls.new_messages == (asked,)
    parse(messages=[USER, *(message.model_dump() for message in (*calls.new_messages, done))])
