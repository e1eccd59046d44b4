"""What a server understands of the OpenAI request, and what it has been found not to.

Older servers reject parameters that newer ones demand. A rejection that names one teaches a plainer dialect.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from understudy.providers import Provider


class Prompt(Protocol):
    """What a kind wants asked."""

    @property
    def messages(self) -> list[dict[str, Any]]:
        """The conversation, as the API wants it."""
        ...

    @property
    def response_format(self) -> dict[str, Any] | None:
        """A JSON schema to hold the answer to, or None for free text."""
        ...


@dataclass(frozen=True)
class Dialect:
    """Which form of each parameter one model at one provider takes.

    Args:
        formats: those of `response_format` still believed in, best first.
        limit: the name of the token limit.
        temperature, effort, stream_options: whether they are sent at all.
    """

    formats: tuple[str, ...] = ("json_schema", "json_object")
    limit: str = "max_tokens"
    limit_changed: bool = False
    temperature: bool = True
    effort: bool = True
    stream_options: bool = True

    def body(
        self,
        provider: Provider,
        prompt: Prompt,
        *,
        max_tokens: int | None,
        temperature: float | None,
        tools: list[dict[str, Any]] | None = None,
    ) -> dict[str, Any]:
        """The request, as JSON types."""
        body: dict[str, Any] = {"model": provider.model, "messages": prompt.messages, "stream": True}
        if self.stream_options:
            body["stream_options"] = {"include_usage": True}
        if max_tokens is not None:
            body[self.limit] = max_tokens
        if temperature is not None and self.temperature:
            body["temperature"] = temperature
        if provider.reasoning_effort is not None and self.effort:
            body["reasoning_effort"] = provider.reasoning_effort
        wanted = prompt.response_format
        if wanted is not None:
            if wanted.get("type") in self.formats:
                body["response_format"] = wanted
            elif self.formats:
                body["response_format"] = {"type": self.formats[0]}
        if tools:
            body["tools"] = tools
        return body

    def without(self, parameter: str) -> Dialect | None:
        """A plainer dialect that avoids the parameter; None where there is none.

        The token limit only changes its name: without one, the cost of a paid request would have no bound.
        """
        if parameter == "response_format" and self.formats:
            return replace(self, formats=self.formats[1:])
        if parameter in ("max_tokens", "max_completion_tokens") and not self.limit_changed:
            other = "max_tokens" if self.limit == "max_completion_tokens" else "max_completion_tokens"
            return replace(self, limit=other, limit_changed=True)
        if parameter == "temperature" and self.temperature:
            return replace(self, temperature=False)
        if parameter == "reasoning_effort" and self.effort:
            return replace(self, effort=False)
        if parameter == "stream_options" and self.stream_options:
            return replace(self, stream_options=False)
        return None


def first_dialect(provider: Provider) -> Dialect:
    """The dialect to begin with."""
    at_openai = urlsplit(provider.base_url).hostname == "api.openai.com"
    return Dialect(limit="max_completion_tokens") if at_openai else Dialect()


OPTIONAL = (
    "response_format",
    "max_completion_tokens",
    "max_tokens",
    "reasoning_effort",
    "temperature",
    "stream_options",
)
"""The parameters there is a plainer dialect for."""


_TOOLS = re.compile(r"\btools?\b|\btool[ _-](?:use|choice|calls?|calling)\b|\bfunction[ -]calling\b", re.IGNORECASE)
_NOT_TAKEN = re.compile(
    r"(?:\b(?:not|no|cannot)|n't)\b(?:\W+\w+){0,3}?\W+(?:support|allow|enable|permit)|\bunsupported\b|\brequires? --"
    r"|\b(?:unknown|unrecogni[sz]ed|unexpected|extra)\b.{0,60}\btools\b",
    re.IGNORECASE,
)
_ONE_TOOL = re.compile(r"tools[\[.]\d|['\"]tools['\"], ?\d")
"""A place within the tools: it is one of them that is wrong."""


def rejects_tools(sent: dict[str, Any], param: str | None, message: str) -> bool:
    """Whether an error says that the model takes no tools at all, and not that one of those sent is wrong.

    Args:
        sent, param, message: as in `rejected`.
    """
    if not sent.get("tools"):
        return False
    if param:
        return param in ("tools", "tool_choice")
    return bool(_TOOLS.search(message) and _NOT_TAKEN.search(message)) and not _ONE_TOOL.search(message)


def rejected(sent: dict[str, Any], param: str | None, message: str) -> str | None:
    """The parameter that a 400 or 422 rejects, of those that were sent and can be done without; else None.

    Args:
        sent: the request.
        param: the error's own `param`, such as ``response_format.json_schema``.
        message: what the provider wrote; searched for names of parameters only where `param` is absent.
    """
    ours = [name for name in OPTIONAL if name in sent]
    if param:
        return next((name for name in ours if param.startswith(name)), None)
    return next((name for name in ours if name in message), None)
