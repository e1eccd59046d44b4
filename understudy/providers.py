"""The providers, in the order of preference, from the settings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from understudy.errors import SettingsError
from understudy.settings import BUILT_IN, ProviderEntry, Settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pydantic import SecretStr

    from understudy.pricing import Price

CONNECT_S = 3.0
"""A first SYN is repeated after 1 s: three seconds survive one lost packet, and no more."""

SLOW_SHARE = 2 / 3
"""Of the total limit: a request that takes longer counts as slow for the breaker."""


@dataclass(frozen=True)
class Provider:
    """An OpenAI-compatible endpoint with a queue of its own name.

    Args:
        base_url: ends without a slash; the SDK adds ``/chat/completions``.
        context_window: tokens of prompt and answer together.
        timeout_s, connect_s, first_byte_s: limits of one request; `first_byte_s` also bounds the gap between chunks.
        slow_s: from here on a request counts as slow.
        reasoning_effort: sent as it is; None where the parameter is not sent.
        price: of a paid provider, once `understudy.pricing.priced` has looked it up, as each worker does at its start.
    """

    name: str
    base_url: str
    model: str
    api_key: SecretStr | None
    paid: bool
    local: bool
    context_window: int
    timeout_s: float
    connect_s: float
    first_byte_s: float
    slow_s: float
    tools: bool = True
    reasoning_effort: str | None = None
    price: Price | None = None

    @property
    def queue(self) -> str:
        """The queue of its live calls."""
        return self.name

    @property
    def batch_queue(self) -> str:
        """The queue of its batch rows."""
        return f"{self.name}.batch"


def providers_from(settings: Settings) -> tuple[Provider, ...]:
    """Every provider that can be asked, most preferred first; one whose key is missing is absent.

    Raises:
        SettingsError: none is left.
    """
    entries = {entry.name: entry for entry in _entries(settings)}
    found = tuple(_provider(entries[name]) for name in _order(settings, entries) if not _lacks_key(entries[name]))
    if not found:
        raise SettingsError("No provider is left: " + " ".join(absent(settings)))
    return found


def absent(settings: Settings) -> list[str]:
    """One sentence for each configured provider that will not be asked, and why."""
    entries = {entry.name: entry for entry in _entries(settings)}
    order = _order(settings, entries)
    sentences = []
    for name, entry in entries.items():
        if name not in order:
            sentences.append(f"Provider {name} is not used: UNDERSTUDY_ORDER does not name it.")
        elif _lacks_key(entry):
            kind = "paid provider" if entry.paid else "provider"
            sentences.append(f"The {kind} {name} is absent: {entry.api_key_env} is not set.")
    return sentences


def _entries(settings: Settings) -> tuple[ProviderEntry, ...]:
    """All providers in one form; the order is that of preference among equals."""
    ollama = ProviderEntry(
        name=BUILT_IN[0],
        base_url=settings.ollama_url if settings.ollama_url.endswith("/v1") else f"{settings.ollama_url}/v1",
        model=settings.ollama_model_name,
        paid=False,
        local=settings.understudy_ollama_local,
        context_window=settings.understudy_ollama_context_window,
        timeout_s=settings.ollama_timeout,
    )
    openai = ProviderEntry(
        name=BUILT_IN[1],
        base_url=settings.openai_base_url,
        model=settings.openai_model_name,
        api_key=settings.openai_api_key,
        api_key_env="OPENAI_API_KEY",
        paid=True,
        local=False,
        context_window=settings.understudy_openai_context_window,
        reasoning_effort=settings.understudy_openai_reasoning_effort,
        timeout_s=settings.openai_timeout,
    )
    return (ollama, *settings.understudy_providers, openai)


def _order(settings: Settings, entries: dict[str, ProviderEntry]) -> tuple[str, ...]:
    return settings.understudy_order or tuple(sorted(entries, key=lambda name: entries[name].paid))


def _lacks_key(entry: ProviderEntry) -> bool:
    return entry.api_key_env is not None and entry.api_key is None


def _provider(entry: ProviderEntry) -> Provider:
    return Provider(
        name=entry.name,
        base_url=entry.base_url,
        model=entry.model,
        api_key=entry.api_key,
        paid=entry.paid,
        local=entry.local,
        context_window=entry.context_window,
        timeout_s=entry.timeout_s,
        connect_s=min(entry.connect_s or CONNECT_S, entry.timeout_s),
        first_byte_s=min(entry.first_byte_s or entry.timeout_s, entry.timeout_s),
        slow_s=min(entry.slow_s or entry.timeout_s * SLOW_SHARE, entry.timeout_s),
        tools=entry.tools,
        reasoning_effort=None if entry.reasoning_effort == "off" else entry.reasoning_effort,
    )


def queue_names(providers: Sequence[Provider]) -> list[str]:
    """Every queue there is: a live and a batch one for each provider."""
    return [name for provider in providers for name in (provider.queue, provider.batch_queue)]
