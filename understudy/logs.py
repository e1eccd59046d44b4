"""Logs: one line an event, for a terminal or as JSON; never what users write."""

from __future__ import annotations

import logging
import sys
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import structlog

from understudy import tracing

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, MutableMapping

    from understudy.settings import Settings

# structlog's own take 20 µs to be bound for a call, for they look at every variable there is.
_fields: ContextVar[Mapping[str, Any]] = ContextVar("understudy_log_fields", default={})  # noqa: B039 - never changed


def set_up_logs(settings: Settings) -> None:
    """Set up structlog once, by UNDERSTUDY_LOG and UNDERSTUDY_LOG_LEVEL."""
    as_json = settings.understudy_log == "json"
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            _add_fields,
            tracing.log_ids,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer()
            if as_json
            else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty()),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(settings.understudy_log_level)),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )


def bind(**fields: object) -> None:
    """Put these fields on each line from here on, in this task or thread and what it starts."""
    _fields.set({**_fields.get(), **fields})


@contextmanager
def bound(**fields: object) -> Iterator[None]:
    """Put these fields on each line within, here and in tasks that begin within."""
    token = _fields.set({**_fields.get(), **fields})
    try:
        yield
    finally:
        _fields.reset(token)


def bound_fields() -> Mapping[str, Any]:
    """The fields of a line that is written here."""
    return _fields.get()


def _add_fields(_logger: Any, _method: str, event_dict: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for name, value in _fields.get().items():
        event_dict.setdefault(name, value)
    return event_dict
