"""The base of every task."""

from __future__ import annotations

from typing import Any

from celery import Task

from workers.privacy import HIDDEN


class CallTask(Task):
    """A task whose message is acknowledged when it has ended, and whose arguments and result are shown to nobody."""

    Request = "workers.request:Request"
    resultrepr_maxsize = 0
    acks_late = True
    reject_on_worker_lost = True
    # Retries are counted and ended by the ledger.
    max_retries = None

    def apply_async(self, args: Any = None, kwargs: Any = None, **options: Any) -> Any:
        """Publish; also a retry's and a chain's way out, so none of them carries a repr of its arguments."""
        return super().apply_async(args, kwargs, **{**options, "argsrepr": HIDDEN, "kwargsrepr": HIDDEN})
