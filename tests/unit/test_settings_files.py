"""Settings that stand in files, and the password of Redis on its own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from understudy.errors import SettingsError
from understudy.settings import Settings, load_settings
from understudy.settings_files import MAX_BYTES
from understudy.urls import with_password


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
        monkeypatch.delenv(f"{name.upper()}_FILE", raising=False)
    monkeypatch.chdir(tmp_path)


def file_of(monkeypatch: pytest.MonkeyPatch, name: str, text: str) -> None:
    path = Path.cwd() / name.lower()
    path.write_text(text, encoding="utf-8")
    monkeypatch.setenv(f"{name}_FILE", str(path))


def test_a_variable_is_read_from_the_file_that_its_file_variable_names(monkeypatch: pytest.MonkeyPatch) -> None:
    file_of(monkeypatch, "OPENAI_API_KEY", "sk-in-a-file\n")
    file_of(monkeypatch, "OLLAMA_TIMEOUT", "7")
    settings = load_settings()
    assert settings.openai_api_key is not None
    assert settings.openai_api_key.get_secret_value() == "sk-in-a-file"
    assert settings.ollama_timeout == 7
    assert {"openai_api_key", "ollama_timeout"} <= settings.model_fields_set


def test_the_variable_itself_and_an_argument_win_over_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    file_of(monkeypatch, "OLLAMA_TIMEOUT", "7")
    file_of(monkeypatch, "OPENAI_TIMEOUT", "7")
    file_of(monkeypatch, "LLM_TEMPERATURE", "0.7")
    Path(".env").write_text("OPENAI_TIMEOUT=8\n", encoding="utf-8")
    monkeypatch.setenv("OLLAMA_TIMEOUT", "9")
    settings = load_settings(llm_temperature=1)
    assert (settings.ollama_timeout, settings.openai_timeout, settings.llm_temperature) == (9, 8, 1)


def test_an_empty_file_and_an_empty_name_count_as_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    file_of(monkeypatch, "OPENAI_API_KEY", " \n")
    monkeypatch.setenv("BROKER_URL_FILE", "")
    settings = load_settings()
    assert (settings.openai_api_key, settings.broker_url) == (None, None)
    assert "openai_api_key" not in settings.model_fields_set


def test_the_file_variable_may_stand_in_the_file_of_variables() -> None:
    Path("key").write_text("sk-from-dotenv", encoding="utf-8")
    Path(".env").write_text("OPENAI_API_KEY_FILE=key\n", encoding="utf-8")
    key = load_settings().openai_api_key
    assert key is not None
    assert key.get_secret_value() == "sk-from-dotenv"


def test_the_key_of_a_further_provider_may_stand_in_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = {"name": "groq", "base_url": "https://groq/v1", "model": "m", "paid": True, "api_key_env": "GROQ_KEY"}
    monkeypatch.setenv("UNDERSTUDY_PROVIDERS", json.dumps([entry]))
    file_of(monkeypatch, "GROQ_KEY", "sk-groq\n")
    key = load_settings().understudy_providers[0].api_key
    assert key is not None
    assert key.get_secret_value() == "sk-groq"


def test_every_file_that_cannot_be_read_gets_a_sentence_that_shows_no_value(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("broken").write_bytes(b"\xff\xfe")
    Path("large").write_bytes(b"x" * (MAX_BYTES + 1))
    monkeypatch.setenv("OPENAI_API_KEY_FILE", "sk-put-here-by-mistake")
    monkeypatch.setenv("REDIS_URL_FILE", "broken")
    monkeypatch.setenv("BROKER_URL_FILE", "large")
    monkeypatch.setenv("OLLAMA_URL_FILE", ".")
    with pytest.raises(SettingsError) as caught:
        load_settings()
    allowed = f"(its value is not shown): it must be the path of a readable text file of at most {MAX_BYTES} bytes"
    assert str(caught.value).splitlines() == [
        f"OLLAMA_URL_FILE cannot be used {allowed}; Is a directory.",
        f"OPENAI_API_KEY_FILE cannot be used {allowed}; No such file or directory.",
        f"REDIS_URL_FILE cannot be used {allowed}; it is not UTF-8 text.",
        f"BROKER_URL_FILE cannot be used {allowed}.",
    ]


def test_a_wrong_value_in_a_file_is_told_like_any_other(monkeypatch: pytest.MonkeyPatch) -> None:
    file_of(monkeypatch, "OPENAI_API_KEY", "sk with spaces")
    with pytest.raises(SettingsError) as caught:
        load_settings()
    assert str(caught.value).startswith("OPENAI_API_KEY cannot be used (its value is not shown)")


@pytest.mark.parametrize(
    ("url", "completed"),
    [
        ("redis://redis:6379/0", "redis://:p%2F%40%20w@redis:6379/0"),
        ("rediss://redis", "rediss://:p%2F%40%20w@redis"),
        ("redis://app@redis:6379/0", "redis://app:p%2F%40%20w@redis:6379/0"),
        ("sentinel://one:26379;two:26379/0", "sentinel://:p%2F%40%20w@one:26379;two:26379/0"),
        ("unix:///run/a@b.sock?db=1", "unix://:p%2F%40%20w@/run/a@b.sock?db=1"),
        ("redis://:own@redis:6379/0", "redis://:own@redis:6379/0"),
        ("amqp://guest@rabbitmq//", "amqp://guest@rabbitmq//"),
    ],
)
def test_a_url_of_redis_without_a_password_gets_it(url: str, completed: str) -> None:
    assert with_password(url, "p/@ w") == completed


def test_the_password_of_redis_completes_both_urls_and_is_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    file_of(monkeypatch, "UNDERSTUDY_REDIS_PASSWORD", "from-a-file\n")
    monkeypatch.setenv("REDIS_URL", "redis://redis:6379/0")
    monkeypatch.setenv("BROKER_URL", "redis://broker:6379/0")
    settings = load_settings()
    assert settings.redis_url == "redis://:from-a-file@redis:6379/0"
    assert settings.broker_url == "redis://:from-a-file@broker:6379/0"
    assert "from-a-file" not in repr(settings)


def test_without_a_broker_url_the_password_makes_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNDERSTUDY_REDIS_PASSWORD", "p")
    settings = load_settings()
    assert (settings.redis_url, settings.broker_url) == ("redis://:p@localhost:6379/0", None)
