"""What a call's options mean for the choice of provider, and the options that leave none."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from understudy.contracts.call import CallOptions, Spend
from understudy.errors import InvalidRequest
from understudy.routing import Policy
from understudy.window import tokens_needed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pydantic import BaseModel

    from understudy.contracts.kind import Kind
    from understudy.providers import Provider

ROW_DEADLINE_S = 3600.0
"""Of a batch row."""

MAX_NOTE = 200
"""Characters of who forced a provider, and why."""


def deadline_ms(kind: Kind, options: CallOptions) -> int:
    """The time that a call has, from its opening, in milliseconds."""
    usual_s = kind.deadline_s if options.job is None else ROW_DEADLINE_S
    return max(1, math.ceil((options.deadline_s or usual_s) * 1000))


def policy_of(kind: Kind, options: CallOptions, request: BaseModel | None = None) -> Policy:
    """What a call allows; without its request, the models that could not read it are not known."""
    return Policy(
        kind=kind.name,
        spend=options.spend_policy,
        local_only=options.local_only,
        batch=options.job is not None,
        only=options.only,
        total_ms=deadline_ms(kind, options),
        needs_tools=bool(getattr(request, "tools", None)),
        prompt_tokens=0 if request is None else tokens_needed(request),
    )


def require_provider(providers: Sequence[Provider], policy: Policy) -> None:
    """Refuse a call that no configured provider may ever answer.

    Raises:
        InvalidRequest: one sentence that names the option.
    """
    if any(policy.allows(provider) for provider in providers):
        return
    _require_window(providers, policy)
    if policy.needs_tools and any(replace(policy, needs_tools=False).allows(provider) for provider in providers):
        raise InvalidRequest(f"{policy.kind}: tools are given, but no provider that may answer takes any.")
    if policy.only is not None:
        chosen = known_provider(providers, policy.only, "call", field="only")
        if policy.local_only and not chosen.local:
            raise InvalidRequest(f"call: local_only is true, but only names {chosen.name}, which is not local.")
        if policy.spend is Spend.NEVER and chosen.paid:
            raise InvalidRequest(f"call: spend is never, but only names {chosen.name}, which is paid.")
    free = policy.spend is Spend.NEVER
    if policy.local_only and not any(provider.local for provider in providers):
        raise InvalidRequest("call: local_only is true, but no provider of the settings is local.")
    if policy.local_only and free:
        raise InvalidRequest("call: spend is never and local_only is true, but no local provider is free.")
    if free:
        raise InvalidRequest("call: spend is never, but every provider of the settings is paid.")
    raise InvalidRequest("call: no provider of the settings may answer it.")


def _require_window(providers: Sequence[Provider], policy: Policy) -> None:
    """Refuse a request that no provider's model could read, where that alone is in its way."""
    windows = [p.context_window for p in providers if replace(policy, prompt_tokens=0).allows(p)]
    if windows and policy.prompt_tokens:
        raise InvalidRequest(
            f"{policy.kind}: system and the newest messages take about {policy.prompt_tokens:,} tokens with the answer,"
            f" and the largest context window of the providers that may answer is {max(windows):,} tokens."
        )


def known_provider(providers: Sequence[Provider], name: object, operation: str, *, field: str = "name") -> Provider:
    """The provider of that name.

    Raises:
        InvalidRequest: there is none.
    """
    for provider in providers:
        if provider.name == name:
            return provider
    known = ", ".join(provider.name for provider in providers)
    raise InvalidRequest(f"{operation}: {field} is not a provider of the settings; known are {known}.")


def check_note(field: str, text: object) -> None:
    """Refuse a note that operators could not read.

    Raises:
        InvalidRequest: it is empty, too long or no text.
    """
    if not isinstance(text, str) or not text.strip():
        raise InvalidRequest(f"force: {field} must be text of 1 to {MAX_NOTE} characters.")
    if len(text) > MAX_NOTE:
        raise InvalidRequest(f"force: {field} has {len(text):,} characters; at most {MAX_NOTE} are allowed.")
