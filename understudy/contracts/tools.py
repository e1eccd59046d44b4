"""Tools that a model may call: those that the workers have, by name, and those that the bot runs itself, described."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, BeforeValidator, Field, TypeAdapter, field_validator, model_validator

from understudy.contracts.fields import CONTRACT
from understudy.contracts.json_schema import schema_fault

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_TOOLS = 128
"""Of one request: as many as OpenAI takes."""

MAX_DESCRIPTION = 4_000
MAX_SCHEMA = 20_000
"""Characters of one tool's schema as JSON."""

MAX_OFFER = 100_000
"""Characters of all schemas and descriptions of one request: they are sent with each model turn."""

ToolName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]

_name: TypeAdapter[str] = TypeAdapter(ToolName)


class ToolSpec(BaseModel):
    """A tool of the bot's own: the turn ends with its calls, and the bot runs them.

    The form of the chat completions API, `{"type": "function", "function": {…}}`, is taken as well.
    """

    model_config = CONTRACT

    name: ToolName
    description: Annotated[str, Field(max_length=MAX_DESCRIPTION)] = ""
    parameters: dict[str, Any] = Field(default_factory=lambda: {"type": "object", "properties": {}})
    """JSON schema of an object."""

    @model_validator(mode="before")
    @classmethod
    def _unwrapped(cls, data: Any) -> Any:
        if isinstance(data, dict) and data.keys() == {"type", "function"} and data["type"] == "function":
            return data["function"]
        return data

    @field_validator("parameters")
    @classmethod
    def _is_schema(cls, parameters: dict[str, Any]) -> dict[str, Any]:
        try:
            length = len(json.dumps(parameters, allow_nan=False))
        except (TypeError, ValueError, RecursionError):
            length = 0
        if not length:
            message = "is not JSON schema: it holds what JSON cannot"
            raise ValueError(message)
        if length > MAX_SCHEMA:
            message = f"has {length:,} characters as JSON; at most {MAX_SCHEMA:,} are allowed"
            raise ValueError(message)
        if fault := schema_fault(parameters):
            raise ValueError(fault)
        return parameters

    @property
    def length(self) -> int:
        """Characters that it adds to each model turn."""
        return len(self.description) + len(json.dumps(self.parameters))


def _tool(value: object) -> object:
    """The form that was meant, so that an error speaks of that one alone."""
    return _name.validate_python(value) if isinstance(value, str) else ToolSpec.model_validate(value)


AnyTool = Annotated[str | ToolSpec, BeforeValidator(_tool)]
"""The name of a tool that the workers have, or the description of one that the bot runs."""


def name_of(tool: str | ToolSpec) -> str:
    """The name under which the model calls it."""
    return tool if isinstance(tool, str) else tool.name


def offer_fault(tools: Sequence[str | ToolSpec]) -> str | None:
    """What is wrong with a request's tools together, as the rest of a sentence."""
    seen: dict[str, int] = {}
    for index, name in enumerate(map(name_of, tools)):
        if name in seen:
            return f"name {name} twice: [{seen[name]}] and [{index}]"
        seen[name] = index
    length = sum(tool.length for tool in tools if isinstance(tool, ToolSpec))
    if length > MAX_OFFER:
        return f"have {length:,} characters together; at most {MAX_OFFER:,} are allowed"
    return None


def needs_tools(request: str) -> bool:
    """Whether a request, as the ledger holds it, offers tools.

    Args:
        request: compact JSON as the contracts write it. Within a JSON text every quotation mark is escaped, so this key
            can stand in no text that a user wrote; and no contract but the agent turn's has one of this name.
    """
    return '"tools":[' in request
