"""What users write stays out of Celery's logs, events and inspection."""

from __future__ import annotations

import logging
import traceback
import warnings
from typing import Any

from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

HIDDEN = "(hidden)"
"""Instead of arguments. Not empty: Celery's tracer replaces an empty text by the arguments themselves."""

LOGGERS = (
    "celery.app.trace",
    "celery.backends.base",
    "celery.backends.redis",
    "celery.bootsteps",
    "celery.concurrency.base",
    "celery.pool",
    "celery.utils.dispatch.signal",
    "celery.worker",
    "celery.worker.consumer.consumer",
    "celery.worker.control",
    "celery.worker.loops",
    "celery.worker.pidbox",
    "celery.worker.request",
    "celery.worker.strategy",
    "celery.worker.worker",
    "kombu.asynchronous.hub",
    "kombu.transport.redis",
    "kombu.transport.virtual.base",
)
"""Loggers whose records may carry arguments, results or exceptions of a task."""

_TEXT_FIELDS = ("args", "kwargs", "result", "return_value")
_INFRASTRUCTURE = (OSError, RedisError, OperationalError)
"""Exceptions that say where a connection failed, and carry no text of a user."""


class HideUserText(logging.Filter):
    """Exceptions become their type, tracebacks lose their message, task contexts lose arguments and results."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Let every record pass, without what users wrote."""
        if isinstance(record.args, dict):
            record.args = _without_text(record.args)
        elif record.args:
            record.args = tuple(_safe(value) for value in record.args)
        if isinstance(data := getattr(record, "data", None), dict):
            record.data = _without_text(data)
        if record.exc_info and record.exc_info[1] is not None:
            record.exc_text = stack_of(record.exc_info[1])
            record.exc_info = None
        return True


def hide_user_text() -> None:
    """Put the filter on Celery's and kombu's loggers; twice does no harm."""
    for name in LOGGERS:
        logger = logging.getLogger(name)
        if not any(isinstance(each, HideUserText) for each in logger.filters):
            logger.addFilter(HideUserText())
    # Its text is the exception's repr; the tracer logs the same fault once more, through the filter above.
    warnings.filterwarnings("ignore", message="Exception raised outside body", category=RuntimeWarning)


def stack_of(error: BaseException) -> str:
    """Where an exception was raised, and its type, without its message."""
    return "".join([*traceback.format_tb(error.__traceback__), exception_name(error)])


def exception_name(error: BaseException) -> str:
    """The type of an exception, or the whole of it where it only tells of a connection."""
    return repr(error) if isinstance(error, _INFRASTRUCTURE) else type(error).__name__


def event_fields(fields: dict[str, Any]) -> dict[str, Any]:
    """The fields of a task event without arguments, results, messages and tracebacks."""
    safe = {name: HIDDEN if name in _TEXT_FIELDS else value for name, value in fields.items()}
    if "exception" in safe:
        # Celery passes the repr: the name ends where the arguments begin.
        name = str(safe["exception"]).partition("(")[0]
        safe["exception"] = f"{name}()" if name.isidentifier() else "Exception()"
    if "traceback" in safe:
        safe["traceback"] = ""
    return safe


def _safe(value: object) -> object:
    return exception_name(value) if isinstance(value, BaseException) else value


def _without_text(context: dict[str, Any]) -> dict[str, Any]:
    safe = {name: HIDDEN if name in _TEXT_FIELDS else _safe(value) for name, value in context.items()}
    if isinstance(exc := safe.get("exc"), str):
        name = exc.partition("(")[0]
        safe["exc"] = name if name.isidentifier() else "an exception"
    if "traceback" in safe:
        safe["traceback"] = ""
    return safe
