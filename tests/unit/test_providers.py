"""Which providers there are, in which order, and what is said of those that are not."""

from __future__ import annotations

import json
from typing import Any

import pytest

from understudy.errors import SettingsError
from understudy.providers import absent, providers_from
from understudy.settings import Settings, load_settings


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("GROQ_KEY", "sk-groq")
    monkeypatch.setenv("EMPTY_KEY", " ")


def entry(name: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "base_url": f"http://{name}:8000/v1", "model": "m", "paid": False} | more


def settings_with(*entries: dict[str, Any], **overrides: Any) -> Settings:
    return load_settings(env_file=None, understudy_providers=json.dumps(entries), **overrides)


ORDERS = [
    # entries, overrides, names
    ([], {}, ["ollama"]),
    ([], {"openai_api_key": "sk"}, ["ollama", "openai"]),
    ([], {"openai_api_key": ""}, ["ollama"]),
    ([], {"openai_api_key": "  "}, ["ollama"]),
    ([entry("vllm"), entry("groq", paid=True)], {"openai_api_key": "sk"}, ["ollama", "vllm", "groq", "openai"]),
    ([entry("groq", paid=True), entry("vllm")], {"openai_api_key": "sk"}, ["ollama", "vllm", "groq", "openai"]),
    ([entry("b"), entry("a")], {}, ["ollama", "b", "a"]),
    ([entry("b")], {"understudy_order": "b, ollama"}, ["b", "ollama"]),
    ([], {"openai_api_key": "sk", "understudy_order": "openai,ollama"}, ["openai", "ollama"]),
    ([], {"openai_api_key": "sk", "understudy_order": "openai"}, ["openai"]),
    ([], {"understudy_order": "openai,ollama"}, ["ollama"]),
    ([entry("groq", paid=True, api_key_env="GROQ_KEY")], {}, ["ollama", "groq"]),
    ([entry("groq", paid=True, api_key_env="EMPTY_KEY")], {}, ["ollama"]),
    ([entry("groq", paid=True, api_key_env="NO_SUCH_KEY")], {}, ["ollama"]),
    ([entry("groq", paid=True, api_key="sk")], {}, ["ollama", "groq"]),
]


@pytest.mark.parametrize(("entries", "overrides", "names"), ORDERS)
def test_providers_come_free_first_and_then_as_given(
    entries: list[dict[str, Any]], overrides: dict[str, Any], names: list[str]
) -> None:
    assert [each.name for each in providers_from(settings_with(*entries, **overrides))] == names


def test_what_is_absent_is_said_in_one_sentence_each() -> None:
    settings = settings_with(
        entry("groq", paid=True, api_key_env="EMPTY_KEY"), entry("vllm"), understudy_order="ollama,groq,openai"
    )
    assert absent(settings) == [
        "The paid provider groq is absent: EMPTY_KEY is not set.",
        "Provider vllm is not used: UNDERSTUDY_ORDER does not name it.",
        "The paid provider openai is absent: OPENAI_API_KEY is not set.",
    ]


def test_nothing_is_said_where_all_are_there() -> None:
    assert absent(settings_with(openai_api_key="sk")) == []


def test_no_provider_at_all_is_a_wrong_setting() -> None:
    with pytest.raises(SettingsError, match=r"No provider is left: .*OPENAI_API_KEY is not set"):
        providers_from(settings_with(understudy_order="openai"))


@pytest.mark.parametrize(
    "url", ["http://host:11434", "http://host:11434/", "http://host:11434/v1", "http://host:11434/v1/"]
)
def test_the_address_of_ollama_may_end_in_v1_or_not(url: str) -> None:
    assert providers_from(settings_with(ollama_url=url))[0].base_url == "http://host:11434/v1"


def test_an_address_behind_a_path_keeps_it() -> None:
    assert providers_from(settings_with(ollama_url="https://host/llm"))[0].base_url == "https://host/llm/v1"


def test_the_built_in_providers_take_their_own_variables() -> None:
    settings = settings_with(
        ollama_model_name="mistral",
        ollama_timeout=9,
        openai_api_key=" sk ",
        openai_model_name="some-model",
        openai_base_url="https://gateway/v1/",
        openai_timeout=12,
    )
    ollama, openai = providers_from(settings)
    assert (ollama.model, ollama.timeout_s, ollama.paid, ollama.local, ollama.api_key) == (
        "mistral", 9, False, True, None,
    )  # fmt: skip
    assert (openai.model, openai.timeout_s, openai.paid, openai.local) == ("some-model", 12, True, False)
    assert (openai.base_url, openai.reasoning_effort) == ("https://gateway/v1", "none")
    assert openai.api_key is not None
    assert openai.api_key.get_secret_value() == "sk"


def test_limits_that_are_not_given_follow_from_the_total_one() -> None:
    each = providers_from(settings_with(entry("x", timeout_s=1.5), ollama_timeout=15))
    ollama, other = each
    assert (ollama.connect_s, ollama.first_byte_s, ollama.slow_s) == (3, 15, 10)
    assert (other.connect_s, other.first_byte_s, other.slow_s) == (1.5, 1.5, 1)


def test_no_limit_is_longer_than_the_total_one() -> None:
    other = providers_from(settings_with(entry("x", timeout_s=5, connect_s=9, first_byte_s=9, slow_s=9)))[1]
    assert (other.connect_s, other.first_byte_s, other.slow_s) == (5, 5, 5)


def test_a_provider_has_a_queue_of_its_own_name_and_one_for_batches() -> None:
    ollama = providers_from(settings_with())[0]
    assert (ollama.queue, ollama.batch_queue) == ("ollama", "ollama.batch")


def test_no_key_shows_in_what_a_provider_looks_like() -> None:
    assert "sk-groq" not in repr(providers_from(settings_with(entry("groq", api_key_env="GROQ_KEY"))))
