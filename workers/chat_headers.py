"""What a request to a provider says beside its body."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx2

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

_OWN_HEADERS = frozenset(
    {"host", "accept", "accept-encoding", "content-type", "content-length", "user-agent", "x-stainless-raw-response"}
)
"""What a request keeps; the last one is how the SDK knows that the raw response was asked for."""

PREFIX = "x-understudy-"


def headers_of(call_id: str | None, *, probe: bool) -> dict[str, str]:
    """What marks a request as ours, so that a provider's own log can be matched with ours."""
    marks = {"X-Understudy-Call": call_id, "X-Understudy-Probe": "1" if probe else None}
    return {name: value for name, value in marks.items() if value is not None}


def only_ours(key: str | None, base_url: str) -> Callable[[httpx2.Request], Awaitable[None]]:
    """Takes out of each request what the SDK adds from OpenAI's own environment variables, and about this machine.

    Args:
        key: the provider's own; it is for its own origin alone, wherever that may redirect a request to.
    """
    own = _origin(httpx2.URL(base_url))

    async def hook(request: httpx2.Request) -> None:
        for name in list(request.headers):
            if name.lower() not in _OWN_HEADERS and not name.lower().startswith(PREFIX):
                del request.headers[name]
        if key is not None and _origin(request.url) == own:
            request.headers["authorization"] = f"Bearer {key}"

    return hook


def _origin(url: httpx2.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port
