"""What users write and models answer, in the log: only where UNDERSTUDY_LOG_PROMPTS says so, for debugging."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from understudy.settings import Settings
    from workers.chat_reply import Reply
    from workers.kind_work import Prompt

WARNING = "UNDERSTUDY_LOG_PROMPTS is on: what users write and models answer goes into this log"

log = structlog.get_logger("understudy.prompts")


def asked(settings: Settings, prompt: Prompt) -> None:
    """A provider is asked this."""
    if settings.understudy_log_prompts:
        log.info("prompt", messages=prompt.messages)


def answered(settings: Settings, reply: Reply) -> None:
    """It answered this."""
    if settings.understudy_log_prompts:
        log.info("answer", text=reply.text, finish_reason=reply.finish_reason)
