"""What it could cost to run a call again: a pure function."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING

from understudy.contracts import KINDS
from understudy.contracts.call import Spend
from understudy.errors import InvalidRequest
from understudy.estimate import FRAMES, most_with_repeat

if TYPE_CHECKING:
    from collections.abc import Sequence

    from understudy.providers import Provider
    from understudy.settings import Settings
    from understudy.state.record import Record


def rerun_cost(record: Record, paid: Sequence[Provider], settings: Settings) -> int:
    """What a call costs at most, in micro-dollars, if the dearest paid provider that may answer it does.

    That is as many requests as a call may make, in pairs of an answer of its whole token limit that cannot be used and
    a repeat; with tools, for each of its model turns, not counting how long their results make its prompt. Never more
    than what its own limit leaves.

    Args:
        paid: the paid providers, with their prices.
    """
    options = record.options
    allowed = [p for p in paid if p.price and options.only in (None, p.name) and (p.local or not options.local_only)]
    if not allowed or options.spend_policy is Spend.NEVER or record.kind not in FRAMES:
        return 0
    try:
        request = KINDS[record.kind].parse(json.loads(record.request))
    except (InvalidRequest, ValueError):
        return 0  # no worker can read it either: it fails before it costs anything
    limit = settings.llm_max_tokens or settings.understudy_paid_max_tokens
    prices = [provider.price for provider in allowed if provider.price]
    pair = most_with_repeat(record.kind, request, prices, paid_max_tokens=limit)
    turns = getattr(request, "max_model_turns", 1) if getattr(request, "tools", None) else 1
    most = pair * math.ceil(settings.understudy_max_requests / 2) * turns
    own = options.max_cost_microusd
    return most if own is None else min(most, max(0, own - sum(record.charges.values())))
