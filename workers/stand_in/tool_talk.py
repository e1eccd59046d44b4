"""A stand-in's tools: those a request offers, what was called before, and the calls that it makes itself."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from workers.stand_in.fate import Fate

NO_TOOLS: Final = "registry.ollama.ai/library/stand-in does not support tools"
PIECE: Final = 5
"""Characters of arguments in one chunk: real servers cut them anywhere."""

_FRAME: Final = re.compile(r"<(tool-result-\w+)>(.*)</\1>", re.DOTALL)


@dataclass(frozen=True, slots=True)
class ToolTalk:
    """What a request says of tools.

    Args:
        offered: name and schema of each tool.
        rounds: how often tools were called since the newest user message.
        results: what they returned.
    """

    offered: Mapping[str, Mapping[str, Any]]
    rounds: int = 0
    results: tuple[str, ...] = ()


NONE: Final = ToolTalk({})


def read_talk(tools: object, messages: list[dict[str, Any]]) -> ToolTalk:
    """Understand what a request says of tools.

    Raises:
        ValueError: a provider would refuse it; one sentence.
    """
    _check_history(messages)
    newest = max((n for n, message in enumerate(messages) if message.get("role") == "user"), default=0)
    since = messages[newest:]
    results = tuple(_shown(str(message.get("content"))) for message in since if message.get("role") == "tool")
    return ToolTalk(_offered(tools), sum(bool(message.get("tool_calls")) for message in since), results)


def calls_of(talk: ToolTalk, fate: Fate, newest: str) -> list[dict[str, Any]]:
    """The tools that the stand-in calls now: those that its fate names, or the user does, else the first offered."""
    if not talk.offered or talk.rounds >= fate.tool_rounds:
        return []
    named = [name for name in talk.offered if re.search(rf"\b{re.escape(name)}\b", newest)]
    names = fate.tool_names.split(",") if fate.tool_names else named or list(talk.offered)[:1]
    return [
        {
            "id": f"call_{talk.rounds}_{n}",
            "type": "function",
            "function": {"name": name, "arguments": _arguments(talk.offered.get(name, {}), fate.tool_arguments)},
        }
        for n, name in enumerate(names)
    ]


def deltas_of(calls: tuple[dict[str, Any], ...], *, whole: bool) -> Iterator[dict[str, Any]]:
    """How the calls are streamed: cut into pieces, or as Ollama does it, all in one."""
    if whole:
        yield {"role": "assistant", "content": "", "tool_calls": [{"index": n, **call} for n, call in enumerate(calls)]}
        return
    for n, call in enumerate(calls):
        function = call["function"]
        yield {"tool_calls": [{"index": n, **call, "function": {"name": function["name"], "arguments": ""}}]}
        for at in range(0, len(function["arguments"]), PIECE):
            piece = function["arguments"][at : at + PIECE]
            yield {"tool_calls": [{"index": n, "function": {"arguments": piece}}]}


def _check_history(messages: list[dict[str, Any]]) -> None:
    waiting: set[str] = set()
    for message in messages:
        if message.get("role") == "tool":
            if message.get("tool_call_id") not in waiting:
                raise ValueError("a tool message answers no tool call before it")
            waiting.discard(message["tool_call_id"])
            continue
        if waiting:
            raise ValueError("a tool call has no tool message that answers it")
        for call in message.get("tool_calls") or ():
            if not call["function"]["arguments"].startswith("{"):
                raise ValueError("the arguments of a tool call must be a JSON object")
            json.loads(call["function"]["arguments"])
            waiting.add(call["id"])
    if waiting:
        raise ValueError("a tool call has no tool message that answers it")


def _offered(tools: object) -> dict[str, Mapping[str, Any]]:
    functions = [tool["function"] for tool in tools or ()] if isinstance(tools, list | None) else []
    return {function["name"]: function.get("parameters") or {} for function in functions}


def _shown(content: str) -> str:
    """What stands in a frame, or all of it."""
    framed = _FRAME.search(content)
    fields = json.loads(framed[2]) if framed else {}
    return str(fields.get("output") or fields.get("error") or content)


def _arguments(schema: Mapping[str, Any], wanted: str) -> str:
    if wanted == "good":
        return json.dumps({name: _example(name, part) for name, part in schema.get("properties", {}).items()})
    return {"bad": '{"no_such_argument": true}', "broken": '{"half of'}.get(wanted, wanted)


def _example(name: str, schema: Mapping[str, Any]) -> Any:
    if "enum" in schema:
        return schema["enum"][0]
    by_type = {"integer": schema.get("minimum", 1), "number": schema.get("minimum", 1.5), "boolean": True}
    by_type |= {"array": [], "object": {}, "null": None}
    return schema.get("default", by_type.get(str(schema.get("type")), f"some {name}"))
