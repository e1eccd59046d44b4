"""Every setting, read once from the environment and `.env`.

The names are those that existing installations have; new ones start with ``UNDERSTUDY_``. An empty variable counts as
absent.
"""

from __future__ import annotations

import json
import os
import re
from typing import TYPE_CHECKING, Annotated, Any, Literal

from dotenv import dotenv_values
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    model_validator,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from understudy.errors import SettingsError
from understudy.settings_files import SettingsFiles, completed_urls, from_file
from understudy.settings_money import DEFAULT_DAY_USD, MaxTokens, Prices, Usd, UsdByKind
from understudy.urls import BROKER_SCHEMES, REDIS_SCHEMES, http_url, mask_url, store_url

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MAX_TIMEOUT_S = 600.0
"""Ten minutes: the longest that a single provider request may take."""

BUILT_IN = ("ollama", "openai")
"""The providers that have variables of their own; an entry of UNDERSTUDY_PROVIDERS cannot take their names."""

_SECRET = frozenset({"openai_api_key", "understudy_redis_password", "understudy_sentinel_password", "api_key"})
_READ_CHARS = 60


def _key(value: SecretStr | None) -> SecretStr | None:
    """A key as it goes into a header; None for an empty one."""
    text = value.get_secret_value().strip() if value else ""
    if not re.fullmatch(r"[!-~]*", text):
        raise ValueError("printable ASCII characters without spaces")
    return SecretStr(text) if text else None


def _names(value: object) -> object:
    return tuple(name.strip() for name in value.split(",") if name.strip()) if isinstance(value, str) else value


def _json(value: object) -> object:
    return json.loads(value) if isinstance(value, str) else value


Key = Annotated[SecretStr | None, AfterValidator(_key)]
HttpUrl = Annotated[str, AfterValidator(http_url)]
Seconds = Annotated[float, Field(gt=0, le=MAX_TIMEOUT_S, description="a number of seconds, above 0 and at most 600")]
Days = Annotated[float, Field(gt=0, le=604_800, description="a number of seconds, above 0 and at most 604800 (a week)")]
Tokens = Annotated[int, Field(ge=1, le=10_000_000, description="a whole number from 1 to 10000000")]
ModelName = Annotated[str, Field(min_length=1, max_length=200, description="1 to 200 characters")]
Effort = Literal["off", "none", "minimal", "low", "medium", "high", "xhigh", "max"]
_EFFORT = "off (the parameter is not sent), none, minimal, low, medium, high, xhigh or max"


class ProviderEntry(BaseModel):
    """One provider of UNDERSTUDY_PROVIDERS: any OpenAI-compatible endpoint."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    name: str = Field(pattern=r"^[a-z0-9_-]{1,40}$", description="1 to 40 of a-z, 0-9, _ and - (it names the queue)")
    base_url: HttpUrl
    model: ModelName
    api_key: Key = Field(default=None, description="a string")
    api_key_env: str | None = Field(
        default=None, min_length=1, description="the name of the variable that holds the key"
    )
    paid: bool = Field(description="true or false, and must be given: it decides who is asked first")
    local: bool = Field(default=False, description="true or false")
    tools: bool = Field(default=True, description="true or false")
    context_window: Tokens = 8192
    reasoning_effort: Effort = Field(default="off", description=_EFFORT)
    timeout_s: Seconds = 30.0
    first_byte_s: Seconds | None = None
    connect_s: Seconds | None = None
    slow_s: Seconds | None = None


class Settings(BaseSettings):
    """What an operator may set; each field is the variable of the same name in capitals."""

    model_config = SettingsConfigDict(
        env_ignore_empty=True, extra="ignore", frozen=True, hide_input_in_errors=True, env_file_encoding="utf-8"
    )

    ollama_url: HttpUrl = "http://localhost:11434"
    ollama_model_name: ModelName = "llama3.2"
    ollama_timeout: Seconds = 15.0
    openai_api_key: Key = Field(default=None, description="a string")
    openai_base_url: HttpUrl = "https://api.openai.com/v1"
    openai_model_name: ModelName = "gpt-6-luna"
    openai_timeout: Seconds = 30.0
    llm_temperature: float | None = Field(default=None, ge=0, le=2, description="a number from 0 to 2")
    """None: each kind's own."""
    llm_max_tokens: int | None = Field(default=None, ge=1, le=1_000_000, description="a whole number from 1 to 1000000")
    """None: each kind's own."""
    moderation_fallback: Literal["chat", "endpoint"] = Field(default="chat", description="chat or endpoint")
    """`endpoint`: moderations by the default rules that fall back to openai go to its free moderation endpoint."""
    redis_url: Annotated[str, AfterValidator(lambda value: store_url(value, REDIS_SCHEMES))] = (
        "redis://localhost:6379/0"
    )
    broker_url: Annotated[str, AfterValidator(lambda value: store_url(value, BROKER_SCHEMES))] | None = None
    """None: REDIS_URL."""

    understudy_prefix: str = Field(
        "u:", pattern=r"^[A-Za-z0-9:_.-]{1,40}$", description="1 to 40 of A-Z a-z 0-9 : _ . -"
    )
    understudy_redis_password: SecretStr | None = Field(default=None, description="a string")
    """For REDIS_URL and BROKER_URL, where they are of Redis and have no password of their own."""
    understudy_sentinel_master: str | None = Field(default=None, max_length=200, description="at most 200 characters")
    understudy_sentinel_password: SecretStr | None = Field(default=None, description="a string")
    """Of the sentinels themselves; the password in the URL is Redis's own."""
    understudy_order: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_names)] = ()
    """Empty: free before paid, else ollama, then UNDERSTUDY_PROVIDERS as given, then openai."""
    understudy_providers: Annotated[tuple[ProviderEntry, ...], NoDecode, BeforeValidator(_json)] = ()
    understudy_ollama_local: bool = Field(default=True, description="true or false")
    """Whether calls marked `local_only` may go to OLLAMA_URL."""
    understudy_ollama_context_window: Tokens = 4096
    """Ollama's own default on small machines. It cuts longer prompts without a word, so raise both together."""
    understudy_openai_context_window: Tokens = 128_000
    understudy_openai_reasoning_effort: Effort = Field(default="none", description=_EFFORT)
    """`none`: a reasoning model would spend a short answer's whole token limit on thinking."""
    understudy_concurrency: int = Field(default=16, ge=1, le=4096, description="a whole number from 1 to 4096")
    understudy_batch_concurrency: int = Field(default=4, ge=1, le=4096, description="a whole number from 1 to 4096")
    understudy_shutdown_grace_s: float = Field(
        default=10.0, ge=0, le=3600, description="a number of seconds from 0 to 3600"
    )
    understudy_cold_start_s: float = Field(
        default=60.0, ge=0, le=MAX_TIMEOUT_S, description="a number of seconds from 0 to 600"
    )
    understudy_watch: bool = Field(default=True, description="true or false")
    understudy_preferred_max_s: Days = 1800.0
    understudy_forced_s: float = Field(
        1800.0, ge=1, le=86_400, description="a number of seconds from 1 to 86400 (a day)"
    )
    understudy_max_requests: int = Field(default=8, ge=1, le=100, description="a whole number from 1 to 100")
    understudy_inbox_maxlen: int = Field(
        20_000, ge=100, le=10_000_000, description="a whole number from 100 to 10000000"
    )
    understudy_tools: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_names)] = ()
    """Modules that register tools; a worker imports them when it starts."""
    understudy_conversation_messages: int = Field(40, ge=2, le=400, description="a whole number from 2 to 400")
    understudy_conversation_tokens: Tokens = 8000
    understudy_conversation_ttl_s: float = Field(
        604_800.0, ge=60, le=31_536_000, description="a number of seconds from 60 to 31536000 (a year)"
    )
    understudy_budget_day_usd: Usd = DEFAULT_DAY_USD
    """The default holds where no budget is set at all."""
    understudy_budget_month_usd: Usd = None
    understudy_budget_user_day_usd: Usd = None
    understudy_budget_kind_day_usd: UsdByKind | None = None
    understudy_prices: Prices | None = None
    """They win over those of the package genai-prices."""
    understudy_paid_max_tokens: MaxTokens = 4096
    """Of a paid answer, where neither its kind, the request nor LLM_MAX_TOKENS says."""
    understudy_metrics_port: int = Field(default=0, ge=0, le=65_535, description="a whole number from 0 to 65535")
    """0: none is served."""
    understudy_metrics_host: str = Field("127.0.0.1", min_length=1, max_length=255, description="1 to 255 characters")
    understudy_operators: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_names)] = ()
    """Logins of Flower that may act on its page of providers; the others read. Without a login it is `local`."""
    understudy_log: Literal["console", "json"] = Field(default="console", description="console or json")
    understudy_log_level: Annotated[
        Literal["DEBUG", "INFO", "WARNING", "ERROR"], BeforeValidator(lambda value: str(value).upper())
    ] = Field(default="INFO", description="DEBUG, INFO, WARNING or ERROR")
    understudy_log_prompts: bool = Field(default=False, description="true or false")
    """For debugging alone: workers log what users write, and what models answer."""

    @classmethod
    def settings_customise_sources(  # noqa: D102 - pydantic's own hook
        cls,
        settings_cls: type[BaseSettings],
        init_settings: Any,
        env_settings: Any,
        dotenv_settings: Any,
        file_secret_settings: Any,  # noqa: ARG003 - folders of secrets are not read, only the files that are named
    ) -> tuple[Any, ...]:
        files = SettingsFiles(settings_cls, {**dotenv_settings.env_vars, **env_settings.env_vars})
        return init_settings, env_settings, dotenv_settings, files

    @model_validator(mode="after")
    def _fits_together(self) -> Settings:
        names = [*BUILT_IN, *(entry.name for entry in self.understudy_providers)]
        if len(set(names)) < len(names):
            twice = sorted({name for name in names if names.count(name) > 1})
            raise ValueError(
                f"UNDERSTUDY_PROVIDERS has {', '.join(twice)} twice: each name may be given once, and"
                f" {' and '.join(BUILT_IN)} are built in."
            )
        for name in self.understudy_order:
            if name not in names:
                raise ValueError(
                    f"UNDERSTUDY_ORDER names {name[:_READ_CHARS]!r}: it must be a list of {', '.join(names)}."
                )
        if len(set(self.understudy_order)) < len(self.understudy_order):
            raise ValueError("UNDERSTUDY_ORDER names a provider twice: each may be named once.")
        models = [
            self.ollama_model_name,
            self.openai_model_name,
            *(entry.model for entry in self.understudy_providers),
        ]
        if unknown := sorted(set(self.understudy_prices or {}) - set(models)):
            raise ValueError(
                f"UNDERSTUDY_PRICES has a price for {unknown[0][:_READ_CHARS]!r}, which is no provider's model:"
                f" they are {', '.join(dict.fromkeys(models))}."
            )
        sentinel = [
            var
            for var, url in (("REDIS_URL", self.redis_url), ("BROKER_URL", self.broker_url or ""))
            if url.startswith("sentinel://")
        ]
        if sentinel and not self.understudy_sentinel_master:
            raise ValueError(
                f"UNDERSTUDY_SENTINEL_MASTER is missing: {' and '.join(sentinel)} names sentinels, so it must"
                " name the master they watch."
            )
        return self

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        for name, value in super().__repr_args__():
            yield name, mask_url(value) if isinstance(value, str) and "://" in value else value


def load_settings(*, env_file: str | Path | None = ".env", **overrides: Any) -> Settings:
    """The settings of this process.

    Args:
        env_file: a file of variables that the environment overrides; None reads none.
        overrides: fields by their lower-case name, which win over both.

    Raises:
        SettingsError: one sentence for each wrong variable: its name, what was read, what is allowed.
    """
    unknown = sorted(set(overrides) - set(Settings.model_fields))
    if unknown:
        raise TypeError(f"load_settings() has no setting {', '.join(unknown)}")
    try:
        settings = Settings(_env_file=env_file, **overrides)  # type: ignore[call-arg]
        keys = {"understudy_providers": _with_keys(settings, env_file)}
        return settings.model_copy(update=keys | completed_urls(settings))
    except ValidationError as error:
        sentences = [_sentence(dict(item)) for item in error.errors(include_url=False)]
    except UnicodeDecodeError:
        sentences = [f"{env_file} cannot be read: it must be UTF-8 text."]
    # Raised outside the handler: a chained ValidationError would show what was read, secrets included.
    raise SettingsError("\n".join(sentences))


def _with_keys(settings: Settings, env_file: str | Path | None) -> tuple[ProviderEntry, ...]:
    """The entries of UNDERSTUDY_PROVIDERS, with the keys that they only name filled in."""
    values = {**(dotenv_values(env_file) if env_file else {}), **os.environ}
    return tuple(
        ProviderEntry.model_validate({**dict(entry), "api_key": values.get(name) or from_file(name, values)})
        if (name := entry.api_key_env)
        else entry
        for entry in settings.understudy_providers
    )


def _sentence(error: dict[str, Any]) -> str:
    """One wrong variable in one sentence; a secret's value is never in it."""
    loc, message = error["loc"], str(error.get("ctx", {}).get("error", ""))
    if not loc:
        return message
    variable, field, read = str(loc[0]).upper(), Settings.model_fields.get(str(loc[0])), error.get("input")
    if loc[0] == "understudy_providers":
        if len(loc) == 1:
            return f"{variable} cannot be read: it must be a JSON list of objects with name, base_url, model and paid."
        variable = f"{variable}[{loc[1]}]" + (f".{str(loc[2])[:_READ_CHARS]}" if len(loc) > 2 else "")
        field = ProviderEntry.model_fields.get(str(loc[2])) if len(loc) > 2 else None
        if error["type"] == "extra_forbidden":
            return f"{variable} is unknown: an entry may have {', '.join(ProviderEntry.model_fields)}."
        if error["type"] == "missing":
            read = None
    allowed = message or (field.description if field else None) or "an object with name, base_url, model and paid"
    if read is None:
        return f"{variable} is missing: it must be {allowed}."
    if field is None or _SECRET.intersection(loc) or not isinstance(read, str | int | float | bool):
        return f"{variable} cannot be used (its value is not shown): it must be {allowed}."
    return f"{variable} is {mask_url(str(read))[:_READ_CHARS]!r}: it must be {allowed}."
