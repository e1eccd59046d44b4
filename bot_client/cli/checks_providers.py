"""What `doctor` asks a provider: its list of models, which costs nothing."""

from __future__ import annotations

import http.client
import json
import ssl
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bot_client.cli.check import Check
from bot_client.cli.patience import in_time
from understudy.words import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from understudy.providers import Provider

LIMIT_S = 3.0
MAX_LIST = 2_000_000
"""Bytes of a list of models."""

SHOWN = 5
SHOWN_CHARS = 60


@dataclass(frozen=True)
class Listing:
    """What a provider answered: a status with its models, or why there is no status."""

    status: int = 0
    models: tuple[str, ...] | None = None
    fault: str = ""


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """The key is meant for one address only."""

    def redirect_request(self, *_args: Any, **_kwargs: Any) -> None:
        """Follow none."""


async def provider_checks(provider: Provider) -> list[Check]:
    """Whether the provider can be reached from here, takes the key and has the model."""
    try:
        listing = await in_time(lambda: models_of(provider), 2 * LIMIT_S)
    except TimeoutError:
        listing = Listing(fault="no answer in time")
    return judged(provider, listing)


def models_of(provider: Provider) -> Listing:
    """Ask for the models."""
    request = urllib.request.Request(f"{provider.base_url}/models", headers={"Accept": "application/json"})  # noqa: S310 - settings allow http and https alone
    if provider.api_key is not None:
        # Unredirected: urllib would hand it to a proxy's redirect otherwise.
        request.add_unredirected_header("Authorization", f"Bearer {provider.api_key.get_secret_value()}")
    try:
        with urllib.request.build_opener(_NoRedirect).open(request, timeout=LIMIT_S) as answer:
            return Listing(answer.status, _names(answer.read(MAX_LIST)))
    except urllib.error.HTTPError as error:
        with error:
            return Listing(error.code)
    except urllib.error.URLError as error:
        return Listing(fault=_fault(error.reason))
    except (OSError, http.client.HTTPException) as error:
        return Listing(fault=_fault(error))


def judged(provider: Provider, listing: Listing) -> list[Check]:
    """The findings: endpoint, key and model."""
    endpoint, key, model = (f"{part} {provider.name}" for part in ("endpoint", "key", "model"))
    where, status = provider.base_url, listing.status
    if not status:
        hint = "Workers need to reach it, this machine only if it is theirs; start it or correct its URL."
        return [Check(endpoint, False, f"{where}: {listing.fault}", hint)]
    held = "set" if provider.api_key is not None else "none"
    if status in (401, 403):
        hint = "Set a valid key." if provider.api_key is not None else "It wants a key: set one."
        return [Check(endpoint, True, f"{where} answers"), Check(key, False, f"{held}; refused ({status})", hint)]
    if status >= 500 or status == 429:
        hint = "It is there, but does not serve at the moment."
        return [Check(endpoint, False, f"{where} answers {status}", hint), Check(key, True, held)]
    found = [Check(endpoint, True, f"{where} answers"), Check(key, True, held)]
    if listing.models is None:
        hint = "It does not list its models: ask it something to see whether the URL is right."
        return [*found, Check(model, True, f"{provider.model}: not known (answer {status})", hint)]
    if _has(listing.models, provider.model):
        return [*found, Check(model, True, provider.model)]
    return [*found, Check(model, False, f"{provider.model} is missing", _model_hint(provider, listing.models))]


def _model_hint(provider: Provider, models: Sequence[str]) -> str:
    pull = f"ollama pull {provider.model}; or set" if provider.name == "ollama" else "Set"
    if not models:
        return f"{pull} another model: it has none at all."
    some = ", ".join(printable(name)[:SHOWN_CHARS] for name in models[:SHOWN])
    more = f" and {len(models) - SHOWN} more" if len(models) > SHOWN else ""
    return f"{pull} the model to one that it has: {some}{more}."


def _has(models: Sequence[str], model: str) -> bool:
    """Ollama adds `:latest` to a name without a tag."""
    return model in models or f"{model}:latest" in models


def _names(body: bytes) -> tuple[str, ...] | None:
    try:
        return tuple(str(row["id"]) for row in json.loads(body)["data"])
    except (ValueError, KeyError, TypeError):
        return None


def _fault(reason: object) -> str:
    """In words of ours: a reason may be any text."""
    if isinstance(reason, TimeoutError):
        return f"no answer within {LIMIT_S:g} s"
    if isinstance(reason, ConnectionRefusedError):
        return "connection refused"
    if isinstance(reason, ssl.SSLError):
        return "TLS failed"
    if isinstance(reason, OSError) and reason.strerror:
        return printable(reason.strerror)
    return type(reason).__name__
