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
        key: two calls of one kind with the same key are one call, such as `chat:message`.
    """

    deadline_s: float | None
    spend: SpendPolicy | None
    local_only: bool
    user_id: Id | None
    key: str | None
