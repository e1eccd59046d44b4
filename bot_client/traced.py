"""What a trace tells of a call on the bot's side: one span, from asking to the answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from understudy import tracing
from understudy.contracts.call import Status
from understudy.errors import UnderstudyError

if TYPE_CHECKING:
    import asyncio

    from bot_client.call import End
    from understudy.contracts.call import CallOptions
    from understudy.contracts.kind import Kind

SERVICE = "understudy-bot"
FLUSH_S = 1.0
"""How long closing a client may wait for a collector."""


def asking(kind: Kind, options: CallOptions) -> tracing.Span:
    """The span of a call that is about to be opened, below the bot's own current span."""
    if not tracing.is_on():
        return tracing.OFF
    about = {"understudy.kind": kind.name, "understudy.job": options.job, "understudy.stream": options.stream or None}
    return tracing.span(f"call {kind.name}", "CLIENT", attributes=about)


def opened(span: tracing.Span, call_id: str, ended: asyncio.Future[End]) -> None:
    """It was opened, and the span ends with it."""
    span.set({"understudy.call.id": call_id})
    span.until(ended, _tell)


def refused(span: tracing.Span, error: BaseException) -> None:
    """It was not opened, or nobody waits for it any more."""
    span.failed(type(error).__name__)
    span.end()


def _tell(span: tracing.Span, end: End) -> None:
    if isinstance(end, UnderstudyError):
        span.set({"understudy.status": "unknown"})
        span.failed(type(end).__name__)
        return
    span.set(
        {
            "understudy.status": end.status.value,
            "understudy.provider": end.provider,
            "understudy.attempts": len(end.attempts),
            "understudy.degraded": end.degraded or None,
            "understudy.queue_wait_ms": end.queued_ms,
            "understudy.cost_microusd": end.cost_microusd,
        }
    )
    if end.status is Status.FAILED:
        span.failed(end.reason or "failed")
