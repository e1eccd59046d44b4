"""How long a provider asks to be left alone."""

from __future__ import annotations

import email.utils
import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_RETRY_AFTER_S = 86_400.0
"""A day: longer than any call waits, short enough that a typing error at a provider mends itself."""


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """What the headers ask for, in seconds; a date is read against the provider's own clock."""
    for name, per_s in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        try:
            wait_s = float(headers[name]) / per_s
        except (KeyError, ValueError):
            continue
        if math.isfinite(wait_s):
            return min(max(wait_s, 0.0), MAX_RETRY_AFTER_S)
    try:
        until = email.utils.parsedate_to_datetime(headers["retry-after"])
        now = email.utils.parsedate_to_datetime(headers["date"])
        return min(max((until - now).total_seconds(), 0.0), MAX_RETRY_AFTER_S)
    except (KeyError, ValueError, TypeError):
        return None
