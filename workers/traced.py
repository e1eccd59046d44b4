"""What a trace tells of a call in a worker: its attempt, each request to a provider, each tool. Never a text."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from understudy import tracing
from workers.ends import Dropped, Ended, Publish

if TYPE_CHECKING:
    from understudy.providers import Provider
    from workers.arrival import Arrival
    from workers.chat_reply import Reply
    from workers.ends import End
    from workers.failures import ProviderFailure
    from workers.run import Run

SERVICE = "understudy-worker"
STOP_S = 2.0
"""How long the end of a worker may wait for a collector."""

CHAT, SCREEN, TOOL = "chat", "moderation", "execute_tool"
"""What the conventions call an operation; the moderation endpoint's has no name there."""

_NAME = re.compile(r"[A-Za-z0-9._:/@+-]{1,100}")


def processing(arrival: Arrival) -> tracing.Span:
    """The span of an attempt, below the sending of its message; begun before the ledger is asked."""
    if not tracing.is_on():
        return tracing.OFF
    about = tracing.message("process", arrival.queue, arrival.call_id)
    about |= {"understudy.kind": arrival.kind, "understudy.provider": arrival.provider.name}
    return tracing.span(f"process {arrival.queue}", "CONSUMER", parent=arrival.trace, attributes=about)


def began(run: Run, span: tracing.Span, sent: int) -> None:
    """The ledger lets the attempt begin."""
    run.span = span
    span.set(
        {
            "understudy.attempt": len(run.earlier) + 1,
            "understudy.queue_wait_ms": max(0, run.now - sent) if sent else None,
            "understudy.job": run.options.job,
        }
    )


def ended(span: tracing.Span, end: End) -> None:
    """How the attempt ended, where it was told of nothing else."""
    if isinstance(end, Ended):
        span.set({"understudy.status": end.outcome.status.value})
    elif isinstance(end, Publish):
        span.set({"understudy.status": "moved"})
    elif isinstance(end, Dropped):
        span.set({"understudy.status": "left"})


def attempted(run: Run, what: str) -> None:
    """What the attempt came to: `answered`, or a row of the failure table."""
    run.span.set({"understudy.outcome": what, "understudy.requests": run.requests})
    if what != "answered":
        run.span.failed(what)


def asking(provider: Provider, body: dict[str, Any]) -> tracing.Span:
    """The span of one request to a provider, below its attempt; a probe has none."""
    if not tracing.is_on():
        return tracing.OFF
    screens = "input" in body
    operation = SCREEN if screens else CHAT
    model = str(body.get("model") or provider.model)
    at = urlsplit(provider.base_url)
    return tracing.child(
        f"{operation} {model}",
        "CLIENT",
        {
            "gen_ai.operation.name": operation,
            "gen_ai.provider.name": provider.name,
            "gen_ai.request.model": model,
            "gen_ai.request.stream": None if screens else True,
            "gen_ai.request.max_tokens": body.get("max_completion_tokens") or body.get("max_tokens"),
            "gen_ai.request.temperature": body.get("temperature"),
            "server.address": at.hostname,
            "server.port": at.port or (443 if at.scheme == "https" else 80),
        },
    )


def answered(span: tracing.Span, reply: Reply) -> None:
    """A request was answered."""
    usage = reply.usage
    span.set(
        {
            "gen_ai.response.model": _name(reply.model),
            "gen_ai.response.finish_reasons": (reason,) if (reason := _name(reply.finish_reason)) else None,
            "gen_ai.response.time_to_first_chunk": reply.first_byte_ms / 1000,
            "gen_ai.usage.input_tokens": usage.prompt_tokens,
            "gen_ai.usage.output_tokens": usage.completion_tokens,
            "gen_ai.usage.cache_read.input_tokens": usage.cached_tokens,
            "gen_ai.usage.cache_creation.input_tokens": usage.cache_write_tokens,
            "gen_ai.usage.reasoning.output_tokens": usage.reasoning_tokens,
        }
    )


def not_answered(span: tracing.Span, failure: ProviderFailure) -> None:
    """A request was not answered; of what the provider wrote, nothing is told."""
    span.set({"http.response.status_code": failure.status})
    span.failed(failure.row.name)


def _name(given: str | None) -> str | None:
    """A provider's own word, if it can be a name: one that repeats what it was asked is not told on."""
    return given if given and _NAME.fullmatch(given) else None


def using(tool: str) -> tracing.Span:
    """The span of a tool that a worker runs; its arguments and its output are not told."""
    if not tracing.is_on():
        return tracing.OFF
    about = {"gen_ai.operation.name": TOOL, "gen_ai.tool.name": tool, "gen_ai.tool.type": "function"}
    return tracing.child(f"{TOOL} {tool}", "INTERNAL", about)
