"""What a call's options mean for the choice of provider, and the options that leave none."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from understudy.contracts.call import CallOptions, Spend
from understudy.errors import InvalidRequest
from understudy.routing import Policy

if TYPE_CHECKING:
    from collections.abc import Sequence

    from understudy.contracts.kind import Kind
    from understudy.providers import Provider

MAX_NOTE = 200
"""Characters of who forced a provider, and why."""


def deadline_ms(kind: Kind, options: CallOptions) -> int:
    """The time that a call has, from its opening, in milliseconds."""
    return max(1, math.ceil((options.deadline_s or kind.deadline_s) * 1000))


def policy_of(kind: Kind, options: CallOptions) -> Policy:
    """What a new call allows."""
    return Policy(
        kind=kind.name,
        spend=options.spend or Spend.ALLOW,
        local_only=options.local_only,
        total_ms=deadline_ms(kind, options),
    )


def require_provider(providers: Sequence[Provider], policy: Policy) -> None:
    """Refuse a call that no configured provider may ever answer.

    Raises:
        InvalidRequest: one sentence that names the option.
    """
    if any(policy.allows(provider) for provider in providers):
        return
    free = policy.spend is Spend.NEVER
    if policy.local_only and not any(provider.local for provider in providers):
        raise InvalidRequest("call: local_only is true, but no provider of the settings is local.")
    if policy.local_only and free:
        raise InvalidRequest("call: spend is never and local_only is true, but no local provider is free.")
    if free:
        raise InvalidRequest("call: spend is never, but every provider of the settings is paid.")
    raise InvalidRequest("call: no provider of the settings may answer it.")


def known_provider(providers: Sequence[Provider], name: object, operation: str) -> Provider:
    """The provider of that name.

    Raises:
        InvalidRequest: there is none.
    """
    for provider in providers:
        if provider.name == name:
            return provider
    known = ", ".join(provider.name for provider in providers)
    raise InvalidRequest(f"{operation}: name is not a provider of the settings; known are {known}.")


def check_note(field: str, text: object) -> None:
    """Refuse a note that operators could not read.

    Raises:
        InvalidRequest: it is empty, too long or no text.
    """
    if not isinstance(text, str) or not text.strip():
        raise InvalidRequest(f"force: {field} must be text of 1 to {MAX_NOTE} characters.")
    if len(text) > MAX_NOTE:
        raise InvalidRequest(f"force: {field} has {len(text):,} characters; at most {MAX_NOTE} are allowed.")
