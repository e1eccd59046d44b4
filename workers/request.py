"""Celery's request of a task, as this worker keeps it: it shows no argument and no result to anyone."""

from __future__ import annotations

from typing import Any

from celery.worker.request import Request as CeleryRequest

from workers.hooks import call, hooks_of
from workers.job import SHUTDOWN
from workers.privacy import HIDDEN, event_fields


class Request(CeleryRequest):
    """A request whose arguments, result and exceptions appear in no event, log or inspection."""

    def __init__(self, message: Any, **options: Any) -> None:
        super().__init__(message, **options)
        # A plain Celery caller puts a repr of its arguments into the headers.
        self._argsrepr = self._kwargsrepr = HIDDEN
        self._request_dict["argsrepr"] = self._request_dict["kwargsrepr"] = HIDDEN

    def info(self, safe: bool = False) -> dict[str, Any]:  # noqa: ARG002 - Celery's signature
        """What `inspect active` and its like show: always the form without arguments."""
        shown: dict[str, Any] = super().info(safe=True)
        return shown

    def send_event(self, type: str, **fields: Any) -> None:  # noqa: A002 - Celery's name
        """Send an event about this task without what users wrote."""
        super().send_event(type, **event_fields(fields))

    def revoked(self) -> bool:
        """Whether the task is revoked or expired.

        A message that `bot_client` sent is never refused here: it carries no request, and only the ledger knows whether
        its call, which may have been opened anew under the same id, is cancelled.
        """
        if "dispatch" in self._kwargs:
            return bool(self._already_revoked)
        return bool(super().revoked())

    def _announce_revoked(self, *args: Any) -> None:
        super()._announce_revoked(*args)
        call(hooks_of(self.app).on_revoke_stored, self.id)

    def cancel(self, pool: Any, signal: Any = None, emit_retry: bool = True) -> None:
        """Abort a running task that somebody else is to run: at a cold shutdown, or after a lost connection."""
        if self.time_start:
            pool.terminate_job(self.worker_pid, signal, reason=SHUTDOWN)
            self._announce_cancelled(emit_retry=emit_retry)
