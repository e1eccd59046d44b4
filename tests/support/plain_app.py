"""A bot's own Celery application, which knows nothing of the project: what plain callers' links and bodies run on."""

from __future__ import annotations

import os
from typing import Any

from celery import Celery

app = Celery("bot", broker=os.environ.get("BOT_BROKER"), backend=os.environ.get("BOT_BACKEND"))
app.conf.update(task_default_queue="bot", worker_hijack_root_logger=False)


@app.task(name="bot.keep")
def keep(*given: Any) -> Any:
    """What came in as the task's own result: an outcome, a list of them, or the id of a call that failed."""
    return given[0] if len(given) == 1 else list(given)
