"""Traces by OpenTelemetry: nothing, at no cost, unless the environment or the application asks for them.

One trace follows a call from the bot through queues, attempts and fallbacks to its answer. Its context, W3C's
`traceparent`, lies with the call in the ledger and travels in the headers of its messages, so that whoever sends the
call on, also another process, goes on with the same trace. Importing this needs no OpenTelemetry; `start` does, where
traces are asked for.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Literal, Self

from understudy import tracing_setup

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Mapping, MutableMapping

Kind = Literal["INTERNAL", "CLIENT", "PRODUCER", "CONSUMER"]
Value = str | bool | int | float | tuple[str, ...]

HEADER = "traceparent"
"""Of messages, as OpenTelemetry's instrumentation of Celery sets it too."""

_TRACEPARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")

TEXT_CHARS = 200
"""Of an attribute: none of ours is longer, and a provider's words are cut."""

_on: tracing_setup.Tracer | None = None


class Span:
    """One span under way, which does nothing where nothing is traced.

    As a context it is the current one within, and ends with it. No exception is ever recorded: its message may hold
    what a user wrote.
    """

    traceparent = ""
    """What carries it to other processes."""

    def set(self, attributes: Mapping[str, Value | None]) -> None:
        """Set attributes; those without a value are left out."""

    def event(self, name: str, attributes: Mapping[str, Value | None] | None = None) -> None:
        """Note that something happened now."""

    def failed(self, error: str) -> None:
        """It ends in an error, of this type."""

    def end(self) -> None:
        """It has ended; whatever comes later changes nothing."""

    def drop(self) -> None:
        """It is not to be told of at all."""

    def until(self, ended: asyncio.Future[Any], about: Callable[[Span, Any], None]) -> None:
        """It ends with a future, whose value `about` describes."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        return None


OFF = Span()
"""Instead of any span, where nothing is traced."""


class _Real(Span):
    def __init__(self, tracer: tracing_setup.Tracer, span: Any) -> None:
        self._tracer = tracer
        self._span = span
        self._token: Any = None
        self._over = False
        self._has_failed = False
        self.traceparent = tracer.traceparent(span)

    def set(self, attributes: Mapping[str, Value | None]) -> None:
        self._span.set_attributes(_shown(attributes))

    def event(self, name: str, attributes: Mapping[str, Value | None] | None = None) -> None:
        self._span.add_event(name, _shown(attributes or {}))

    def failed(self, error: str) -> None:
        self._has_failed = True
        self._span.set_attribute("error.type", error[:TEXT_CHARS])
        self._span.set_status(self._tracer.error)

    def end(self) -> None:
        if not self._over:
            self._over = True
            self._span.end()

    def drop(self) -> None:
        self._over = True  # a span that never ends is never sent

    def until(self, ended: asyncio.Future[Any], about: Callable[[Span, Any], None]) -> None:
        def done(future: asyncio.Future[Any]) -> None:
            if not future.cancelled() and not future.exception():
                about(self, future.result())
            self.end()

        ended.add_done_callback(done)

    def __enter__(self) -> Self:
        self._token = self._tracer.attach(self._span)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._tracer.detach(self._token)
        if kind is not None and not self._over and not self._has_failed:
            self.failed(kind.__name__)
        self.end()


def start(service: str, *, instance: str = "", is_ours: bool = False) -> str:
    """Begin to trace where the environment asks for it, or the application has set up OpenTelemetry itself.

    Args:
        service: its name, unless the environment gives another.
        instance: tells the processes of one service apart.
        is_ours: whether the whole process is; then what else is traced in it goes the same way.

    Returns:
        Why nothing is traced although that was asked for, in one sentence; else an empty text.
    """
    global _on  # as OpenTelemetry's own: one way out of a process
    if _on is None:
        _on, why = tracing_setup.tracer(service, instance, is_ours=is_ours)
        return why
    return ""


def stop(limit_s: float) -> None:
    """Send what is left, for so many seconds at most, and trace no more."""
    global _on
    on, _on = _on, None
    if on is not None:
        on.stop(limit_s)


def flush(limit_s: float) -> None:
    """Send what is there, for so many seconds at most."""
    if _on is not None:
        _on.flush(limit_s)


def is_on() -> bool:
    """Whether this process traces."""
    return _on is not None


def span(
    name: str,
    kind: Kind = "INTERNAL",
    *,
    parent: str = "",
    attributes: Mapping[str, Value | None] | None = None,
    begun_ns: int | None = None,
) -> Span:
    """Begin a span, below the current one, else below `parent`, a `traceparent`; else it is the first of a trace."""
    if _on is None:
        return OFF
    return _Real(_on, _on.begin(name, kind, parent, _shown(attributes or {}), begun_ns))


def child(name: str, kind: Kind, attributes: Mapping[str, Value | None] | None = None) -> Span:
    """Begin a span below the current one; where there is none, as in a probe, nothing is traced."""
    if _on is None or not _on.has_current():
        return OFF
    return span(name, kind, attributes=attributes)


def within(parent: str) -> Span:
    """A context in which `parent`, a `traceparent`, is the current span: of another process, and ended by that."""
    if _on is None or not parent:
        return OFF
    outer = _Real(_on, _on.remote(parent))
    outer.drop()
    return outer


def event(name: str, attributes: Mapping[str, Value | None]) -> bool:
    """Note what happened in the current span; whether there was one to take it."""
    if _on is None or not _on.is_recording():
        return False
    _on.current().add_event(name, _shown(attributes))
    return True


def header_of(headers: Mapping[str, Any]) -> str:
    """The `traceparent` that a message carries; empty without a proper one."""
    found = headers.get(HEADER)
    return found if isinstance(found, str) and _TRACEPARENT.fullmatch(found) else ""


def message(operation: str, queue: str, call_id: str) -> dict[str, str]:
    """What the conventions say of a message: `operation` is `send` or `process`."""
    return {
        "messaging.system": "celery",
        "messaging.operation.name": operation,
        "messaging.operation.type": operation,
        "messaging.destination.name": queue,
        "messaging.message.conversation_id": call_id,
        "understudy.call.id": call_id,
    }


def log_ids(_logger: Any, _method: str, event_dict: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """For structlog: each line of a span says which trace and span it belongs to."""
    if _on is not None:
        event_dict.update(_on.ids())
    return event_dict


def _shown(attributes: Mapping[str, Value | None]) -> dict[str, Value]:
    return {
        name: value[:TEXT_CHARS] if isinstance(value, str) else value
        for name, value in attributes.items()
        if value is not None
    }
