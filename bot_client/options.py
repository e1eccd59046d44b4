"""What may be said about any call, apart from the request itself."""

from __future__ import annotations

from typing import Literal, TypeAlias, TypedDict

from understudy.contracts.call import Spend

SpendPolicy: TypeAlias = Spend | Literal["never", "defer", "allow"]
Id: TypeAlias = str | int
"""Telegram's ids are numbers, Discord's are text."""


class Options(TypedDict, total=False):
    """What may be said about any call.

    Args:
        deadline_s: how long the answer is of use, in seconds, up to a day; None for the kind's own.
        spend: whether it may cost money; None means `allow`.
        local_only: only providers that the settings call local may see it.
        user_id: on whose behalf, for limits by user.
        chat_id: for which group, so that spend can be told apart by it.
        only: the name of the one provider that may answer.
        job: the batch job that it is a row of: it waits in the batch queues, for an hour, and defers unless said
            otherwise.
        max_cost_microusd: what the call may cost in all, in millionths of a dollar; a paid request that could cost more
            is not made.
        key: two calls of one kind with the same key are one call, such as `chat:message`.
    """

    deadline_s: float | None
    spend: SpendPolicy | None
    local_only: bool
    user_id: Id | None
    chat_id: Id | None
    key: str | None
    job: str | None
    only: str | None
    max_cost_microusd: int | None
