"""Celery's own log lines as JSON, one object a line, like ours; what users wrote was taken out of them before."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import Any

from understudy.logs import bound_fields

LOGGERS = ("", "celery", "celery.task", "celery.redirected")
"""Those that Celery gives handlers of their own; the first is the root."""


class JsonLines(logging.Formatter):
    """A record as one JSON object: what a task's line says of its call stands in fields of its own."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        line: dict[str, Any] = {**bound_fields(), "event": record.getMessage(), "logger": record.name}
        data = getattr(record, "data", None)
        if isinstance(data, dict) and data.get("id"):
            line |= {"call": data["id"], "kind": data.get("name")}
        if record.exc_info and not record.exc_text:
            record.exc_text = self.formatException(record.exc_info)
        if record.exc_text:
            line["exception"] = record.exc_text
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        return json.dumps({**line, "level": record.levelname.lower(), "timestamp": at}, ensure_ascii=False, default=str)


def as_json() -> None:
    """Have them written so from now on."""
    for name in LOGGERS:
        for handler in logging.getLogger(name).handlers:
            handler.setFormatter(JsonLines())
