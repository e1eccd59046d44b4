"""A message that calls tools, made such that every provider takes it in a history, whichever wrote it."""

from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING, Any

from understudy.contracts.agent_turn import MAX_CONTENT, MAX_TOOL_CALLS
from understudy.contracts.call import Usage
from understudy.contracts.text import strip_reasoning
from workers.tool_run import object_of
from workers.unusable import Unusable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from workers.kind_work import Reply

_ODD = re.compile(r"[^A-Za-z0-9_.-]")


def assistant_message(reply: Reply, taken: set[str]) -> dict[str, Any]:
    """The message as it is kept, with one tool call for each of the reply's, in their order.

    Args:
        taken: ids of tool calls before it; those of this one are added.

    Raises:
        Unusable: it breaks the limits of the contract.
    """
    if len(reply.tool_calls) > MAX_TOOL_CALLS:
        raise Unusable("wrong_schema", f"The answer calls more than {MAX_TOOL_CALLS} tools at once.")
    said = strip_reasoning(reply.text)
    if max(len(said), *(len(call["function"]["arguments"]) for call in reply.tool_calls)) > MAX_CONTENT:
        raise Unusable("wrong_schema", f"The answer has more than {MAX_CONTENT:,} characters.")
    calls = [_normal(call, _free_id(call["id"], taken)) for call in reply.tool_calls]
    return {"role": "assistant", "content": said or None, "tool_calls": calls}


def _normal(call: dict[str, Any], call_id: str) -> dict[str, Any]:
    """A call as every provider takes it in a history: some refuse one whose name or arguments are none."""
    function = call["function"]
    name = _ODD.sub("_", function["name"])[:64] or "unknown"
    arguments = "{}" if object_of(function["arguments"]) is None else function["arguments"].strip() or "{}"
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


def _free_id(wanted: str, taken: set[str]) -> str:
    """The id that the provider gave; another where it gave none, or one twice."""
    wanted = wanted[:180] or "call"
    numbered = (f"{wanted}-{n}" for n in itertools.count(2))
    found = next(name for name in itertools.chain([wanted], numbered) if name not in taken)
    taken.add(found)
    return found


def summed(usages: Sequence[Usage]) -> Usage:
    """Together; a number that no provider told stays unknown."""
    told = {name: [n for usage in usages if (n := getattr(usage, name)) is not None] for name in Usage.model_fields}
    return Usage(**{name: sum(numbers) for name, numbers in told.items() if numbers})
