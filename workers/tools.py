"""The tools that this installation's workers have: typed Python functions that a model may call.

They are registered with the decorator `tool`, which `tasks.tools` hands on, in modules that UNDERSTUDY_TOOLS names.
"""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar, get_type_hints, overload

from pydantic import BaseModel, ConfigDict, PydanticUserError, create_model

from understudy.contracts.tools import ToolSpec
from understudy.errors import InvalidRequest, SettingsError

TIMEOUT_S, MAX_TIMEOUT_S = 10.0, 600.0
MAX_OUTPUT, MAX_MAX_OUTPUT = 8_000, 100_000
"""Characters of a tool's output that a model is shown: some 2,000 tokens, in each further prompt of the turn."""

NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")

FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])


class ToolError(Exception):
    """What a tool raises to tell the model what went wrong, in words that may leave the installation.

    Of any other exception the model hears the type alone.
    """


class ToolDefinitionError(TypeError):
    """A function cannot be a tool: one sentence that says why."""


@dataclass(frozen=True)
class Tool:
    """One registered function.

    Args:
        spec: name, description and schema, as a model sees them.
        arguments: checks what a model gives.
        function: sync (run in a thread) or async.
        timeout_s: how long it may take.
        idempotent: running it twice does no harm, so that it is run again where a worker died with it.
        max_output: characters of its output that the model is shown.
    """

    spec: ToolSpec
    arguments: type[BaseModel]
    function: Callable[..., Any]
    timeout_s: float
    idempotent: bool
    max_output: int


_tools: dict[str, Tool] = {}


@overload
def tool(function: FunctionT, /) -> FunctionT: ...
@overload
def tool(
    *, name: str | None = None, timeout_s: float = TIMEOUT_S, idempotent: bool = False, max_output: int = MAX_OUTPUT
) -> Callable[[FunctionT], FunctionT]: ...
def tool(
    function: Callable[..., Any] | None = None,
    /,
    *,
    name: str | None = None,
    timeout_s: float = TIMEOUT_S,
    idempotent: bool = False,
    max_output: int = MAX_OUTPUT,
) -> Any:
    """Register a function as a tool; it stays a function.

    Its parameters' types become the schema, its docstring the description.

    Args:
        function: sync, run in a thread, or async; its parameters have types, and it has a docstring.
        name: the function's own by default.
        timeout_s: how long it may take, at most 600.
        idempotent: running it twice does no harm. Any other is never run again where its worker died with it.
        max_output: characters of its output that the model is shown, 100 to 100,000.

    Raises:
        ToolDefinitionError: the function cannot be a tool.
    """

    def register(function: FunctionT) -> FunctionT:
        made = _made(function, name or str(getattr(function, "__name__", "")), timeout_s, idempotent, max_output)
        known = _tools.get(made.spec.name)
        if known and _place(known.function) != _place(function):
            raise ToolDefinitionError(
                f"tool {made.spec.name} is registered twice: in {_place(known.function)} and in {_place(function)}."
            )
        _tools[made.spec.name] = made
        return function

    return register if function is None else register(function)


def tool_named(name: str) -> Tool | None:
    """The tool of that name, if this worker has it."""
    return _tools.get(name)


def known_names() -> tuple[str, ...]:
    """The names of all tools of this worker."""
    return tuple(sorted(_tools))


def load(modules: tuple[str, ...]) -> tuple[str, ...]:
    """Import the modules that UNDERSTUDY_TOOLS names; returns the names of all tools.

    Raises:
        SettingsError: one cannot be imported.
    """
    for module in modules:
        try:
            importlib.import_module(module)
        except ToolDefinitionError as error:
            raise SettingsError(f"UNDERSTUDY_TOOLS names {module}, where a tool is wrong: {error}") from error
        except Exception as error:
            why = str(error) if isinstance(error, ImportError) else type(error).__name__
            raise SettingsError(f"UNDERSTUDY_TOOLS names {module}, which cannot be imported: {why}.") from error
    return known_names()


def _made(function: Callable[..., Any], name: str, timeout_s: float, idempotent: bool, max_output: int) -> Tool:
    if not NAME.fullmatch(name):
        raise ToolDefinitionError(f"tool {name[:64]!r}: its name must be 1 to 64 of A-Z a-z 0-9 _ -.")
    if not 0 < timeout_s <= MAX_TIMEOUT_S:
        raise ToolDefinitionError(f"tool {name}: timeout_s is {timeout_s:g}; it must be above 0, at most 600.")
    if not 100 <= max_output <= MAX_MAX_OUTPUT:
        raise ToolDefinitionError(f"tool {name}: max_output is {max_output}; it must be from 100 to 100,000.")
    description = inspect.getdoc(function)
    if not description:
        raise ToolDefinitionError(f"tool {name}: it has no docstring; a model chooses tools by their descriptions.")
    arguments = _arguments(function, name)
    try:
        spec = ToolSpec(name=name, description=description, parameters=_plain(arguments.model_json_schema()))
    except (ValueError, PydanticUserError) as error:
        fault = error.errors()[0]["msg"] if hasattr(error, "errors") else str(error).partition("\n")[0]
        raise ToolDefinitionError(f"tool {name}: it cannot be described to a model: {fault}.") from error
    return Tool(spec, arguments, function, timeout_s, idempotent, max_output)


def _arguments(function: Callable[..., Any], name: str) -> type[BaseModel]:
    try:
        hints = get_type_hints(function, include_extras=True)
    except NameError as error:
        raise ToolDefinitionError(
            f"tool {name}: a type of its parameters is not known in its module: {error}."
        ) from error
    fields: dict[str, Any] = {}
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            raise ToolDefinitionError(f"tool {name}: parameter {parameter.name} cannot be given by name.")
        if parameter.name not in hints:
            raise ToolDefinitionError(f"tool {name}: parameter {parameter.name} has no type.")
        if parameter.name.startswith("_") or hasattr(BaseModel, parameter.name):
            raise ToolDefinitionError(
                f"tool {name}: parameter {parameter.name} needs another name; pydantic has this one."
            )
        default = ... if parameter.default is parameter.empty else parameter.default
        fields[parameter.name] = (hints[parameter.name], default)
    try:
        return create_model(name, __config__=ConfigDict(extra="forbid", hide_input_in_errors=True), **fields)
    except PydanticUserError as error:
        raise ToolDefinitionError(f"tool {name}: a type of its parameters has no schema: {error.code}.") from error


def _plain(schema: Any) -> Any:
    """Without pydantic's titles, which only repeat the names and cost tokens in each prompt."""
    if isinstance(schema, list):
        return [_plain(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    return {key: _plain(part) for key, part in schema.items() if not (key == "title" and isinstance(part, str))}


def _place(function: Callable[..., Any]) -> str:
    return f"{function.__module__}.{getattr(function, '__qualname__', '')}"


class UnknownTool(InvalidRequest):
    """A request names a tool that this worker does not have."""


@dataclass(frozen=True)
class Offer:
    """What a request lets the model call.

    Args:
        own: the workers' tools, by name.
        names: of all of them, the bot's own included.
        described: all of them, as the chat completions API wants them.
        max_turns: in how many model turns tools may be called.
    """

    own: dict[str, Tool]
    names: frozenset[str]
    described: list[dict[str, Any]]
    max_turns: int


def offer(tools: tuple[str | ToolSpec, ...] | None, max_turns: int) -> Offer | None:
    """What a request lets the model call; None where it is nothing.

    Raises:
        UnknownTool: one sentence that names the tools there are.
    """
    own: dict[str, Tool] = {}
    specs: list[ToolSpec] = []
    for each in tools or ():
        if isinstance(each, str):
            found = tool_named(each)
            if found is None:
                known = ", ".join(known_names()) or "none: UNDERSTUDY_TOOLS names no module that registers any"
                raise UnknownTool(f"tools names {each}, which the workers do not have; known are {known}.")
            own[each] = found
        specs.append(each if isinstance(each, ToolSpec) else own[each].spec)
    described = [{"type": "function", "function": spec.model_dump(mode="json")} for spec in specs]
    return Offer(own, frozenset(spec.name for spec in specs), described, max_turns) if described else None
