"""Which providers are really there, and how the environment of a stack says where each is."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from understudy.pricing import Price, price_of
from understudy.settings import BUILT_IN
from understudy.settings_money import prices_setting

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from understudy.providers import Provider
    from understudy.settings import Settings

LOOK_S = 2.0
MADE_UP_KEY = "made-up-key-of-a-stand-in"
MADE_UP_PRICE = Price(150_000, 600_000, date="2026-11-01")
"""Of a stand-in whose model nobody sells: about what a small model costs."""

# Without the proxies of the environment: a local model is on this machine or near it.
_open = urllib.request.build_opener(urllib.request.ProxyHandler({})).open


@dataclass(frozen=True)
class Presence:
    """Whether a provider is really there.

    Args:
        why: one sentence for the reader.
    """

    provider: Provider
    real: bool
    why: str


def missing_keys(settings: Settings) -> dict[str, str]:
    """A made-up key for each variable of a provider's key that is not set, so that a stand-in can take its place.

    One that is set to the made-up key, as in a shell that has read an earlier stack's variables, is not set either.
    """
    given = [(entry.api_key_env, entry.api_key) for entry in settings.understudy_providers]
    given.append(("OPENAI_API_KEY", settings.openai_api_key))
    return {name: MADE_UP_KEY for name, key in given if name and (key is None or key.get_secret_value() == MADE_UP_KEY)}


def missing_prices(settings: Settings, found: Iterable[Presence]) -> dict[str, str]:
    """The prices of the settings, with one for each paid stand-in whose model has none; empty where none is missing."""
    prices = dict(settings.understudy_prices or {})
    missing = {
        each.provider.model: MADE_UP_PRICE
        for each in found
        if each.provider.paid and not each.real and not price_of(each.provider.model, settings, each.provider.base_url)
    }
    return {"UNDERSTUDY_PRICES": prices_setting({**prices, **missing})} if missing else {}


def presence(provider: Provider) -> Presence:
    """Look whether a provider is there: by its key where it has one, else by asking for its models."""
    key = provider.api_key.get_secret_value() if provider.api_key else None
    if key == MADE_UP_KEY:
        return Presence(provider, False, "has no key")
    if key:
        return Presence(provider, True, f"has a key and is used at {provider.base_url}")
    models = _models(provider)
    if models is None:
        return Presence(provider, False, f"does not answer at {provider.base_url}")
    if not models & {provider.model, f"{provider.model}:latest"}:
        return Presence(provider, False, f"answers at {provider.base_url}, but has no model {provider.model}")
    return Presence(provider, True, f"answers at {provider.base_url}")


def _models(provider: Provider) -> set[str] | None:
    """The models that an endpoint lists; None where it does not answer with a list."""
    request = urllib.request.Request(f"{provider.base_url}/models", headers={"Accept": "application/json"})  # noqa: S310 (http(s) alone, by the settings)
    try:
        with _open(request, timeout=LOOK_S) as response:
            data = json.loads(response.read())["data"]
        return {str(model["id"]) for model in data}
    except (OSError, ValueError, KeyError, TypeError, urllib.error.URLError):
        return None


def address_env(settings: Settings, urls: Mapping[str, str], *, keys: bool) -> dict[str, str]:
    """The variables that move providers to other addresses.

    Args:
        urls: provider name to base URL, of those that move.
        keys: whether keys that stand in UNDERSTUDY_PROVIDERS itself are kept; only a worker needs them.
    """
    env = {}
    for name, variable in zip(BUILT_IN, ("OLLAMA_URL", "OPENAI_BASE_URL"), strict=True):
        if name in urls:
            env[variable] = urls[name]
    if any(entry.name in urls for entry in settings.understudy_providers):
        rows: list[dict[str, Any]] = []
        for entry in settings.understudy_providers:
            row = entry.model_dump(mode="json", exclude_none=True, exclude={"api_key"})
            if keys and entry.api_key and not entry.api_key_env:
                row["api_key"] = entry.api_key.get_secret_value()
            rows.append({**row, "base_url": urls.get(entry.name, entry.base_url)})
        env["UNDERSTUDY_PROVIDERS"] = json.dumps(rows)
    return env
