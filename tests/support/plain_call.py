"""A plain Celery caller who sends one call and reads its result where the workers store it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from celery import Celery

from tests.support.polling import eventually

if TYPE_CHECKING:
    from tests.support.stack import Stack


def plain_call(stack: Stack, text: str, queue: str, **headers: str) -> tuple[str, dict[str, Any]]:
    """A moderation, answered: its id and its outcome. It blocks."""
    with Celery("bot", broker=stack.redis.url()) as app, stack.broker() as redis:
        call_id = str(app.send_task("moderation", kwargs={"request": {"text": text}}, queue=queue, headers=headers).id)
        stored: Any = eventually(lambda: redis.get(f"celery-task-meta-{call_id}"), limit_s=60)
    found = json.loads(stored)
    assert found["status"] == "SUCCESS", found
    return call_id, found["result"]
