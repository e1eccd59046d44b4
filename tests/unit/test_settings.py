"""What may be set, and the sentence that a wrong setting gets."""

from __future__ import annotations

import json
import traceback
from pathlib import Path

import pytest

from understudy.errors import SettingsError
from understudy.settings import Settings, load_settings
from understudy.urls import mask_url


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.chdir(tmp_path)


def wrong(monkeypatch: pytest.MonkeyPatch, **variables: str) -> str:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as caught:
        load_settings()
    return str(caught.value)


def test_everything_has_a_default() -> None:
    settings = load_settings()
    assert settings.ollama_url == "http://localhost:11434"
    assert (settings.ollama_model_name, settings.ollama_timeout) == ("llama3.2", 15)
    assert (settings.openai_timeout, settings.openai_api_key) == (30, None)
    assert (settings.redis_url, settings.broker_url) == ("redis://localhost:6379/0", None)
    assert (settings.understudy_prefix, settings.understudy_concurrency) == ("u:", 16)
    assert (settings.understudy_max_requests, settings.understudy_preferred_max_s) == (8, 1800)


def test_the_environment_wins_over_the_file_and_an_argument_over_both(monkeypatch: pytest.MonkeyPatch) -> None:
    Path(".env").write_text("OLLAMA_TIMEOUT=1\nOPENAI_TIMEOUT=1\nLLM_TEMPERATURE=0.1\n", encoding="utf-8")
    monkeypatch.setenv("OPENAI_TIMEOUT", "2")
    monkeypatch.setenv("LLM_TEMPERATURE", "0.2")
    settings = load_settings(llm_temperature=0.3)
    assert (settings.ollama_timeout, settings.openai_timeout, settings.llm_temperature) == (1, 2, 0.3)


def test_an_empty_variable_counts_as_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OLLAMA_TIMEOUT", "BROKER_URL", "UNDERSTUDY_ORDER", "UNDERSTUDY_PROVIDERS"):
        monkeypatch.setenv(name, "")
    assert load_settings() == load_settings(env_file=None)
    assert load_settings().openai_api_key is None


def test_providers_are_read_from_the_environment_and_their_keys_from_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    Path(".env").write_text("GROQ_KEY=sk-groq\n", encoding="utf-8")
    entry = {"name": "groq", "base_url": "https://groq/v1", "model": "m", "paid": True, "api_key_env": "GROQ_KEY"}
    monkeypatch.setenv("UNDERSTUDY_PROVIDERS", json.dumps([entry]))
    monkeypatch.setenv("UNDERSTUDY_ORDER", " groq , ollama")
    settings = load_settings()
    assert settings.understudy_order == ("groq", "ollama")
    key = settings.understudy_providers[0].api_key
    assert key is not None
    assert key.get_secret_value() == "sk-groq"


def test_an_unknown_argument_is_a_mistake_in_the_program() -> None:
    with pytest.raises(TypeError, match="no setting ollama_timout"):
        load_settings(ollama_timout=3)


WRONG = [
    # variable, value, sentence
    ("OLLAMA_TIMEOUT", "soon", "OLLAMA_TIMEOUT is 'soon': it must be a number of seconds, above 0 and at most 600."),
    ("OLLAMA_TIMEOUT", "0", "OLLAMA_TIMEOUT is '0': it must be a number of seconds, above 0 and at most 600."),
    ("OLLAMA_TIMEOUT", "-1", "OLLAMA_TIMEOUT is '-1': it must be a number of seconds, above 0 and at most 600."),
    ("OPENAI_TIMEOUT", "601", "OPENAI_TIMEOUT is '601': it must be a number of seconds, above 0 and at most 600."),
    ("OPENAI_TIMEOUT", "nan", "OPENAI_TIMEOUT is 'nan': it must be a number of seconds, above 0 and at most 600."),
    ("OPENAI_TIMEOUT", "inf", "OPENAI_TIMEOUT is 'inf': it must be a number of seconds, above 0 and at most 600."),
    ("LLM_TEMPERATURE", "2.1", "LLM_TEMPERATURE is '2.1': it must be a number from 0 to 2."),
    ("LLM_MAX_TOKENS", "0", "LLM_MAX_TOKENS is '0': it must be a whole number from 1 to 1000000."),
    ("LLM_MAX_TOKENS", "1.5", "LLM_MAX_TOKENS is '1.5': it must be a whole number from 1 to 1000000."),
    ("OLLAMA_URL", "localhost:11434", "OLLAMA_URL is 'localhost:11434': it must be a URL such as"),
    ("OLLAMA_URL", "http://", "OLLAMA_URL is 'http://': it must be a URL such as"),
    ("OLLAMA_URL", "http://host:99999", "OLLAMA_URL is 'http://host:99999': it must be a URL such as"),
    ("OLLAMA_URL", "http://host/?a=1", "OLLAMA_URL is 'http://host/?a=1': it must be a URL such as"),
    ("OPENAI_BASE_URL", "ftp://host", "OPENAI_BASE_URL is 'ftp://host': it must be a URL such as"),
    ("REDIS_URL", "localhost:6379", "REDIS_URL is 'localhost:6379': it must be a URL that starts with redis://"),
    ("REDIS_URL", "redis://host:port", "REDIS_URL is 'redis://host:***': it must be a URL that starts with redis://"),
    ("REDIS_URL", "redis://", "REDIS_URL is 'redis://': it must be a URL that starts with redis://"),
    ("REDIS_URL", "redis://a;redis://b", "REDIS_URL is 'redis://a;redis://b': it must be a URL that starts with"),
    ("REDIS_URL", "amqp://host", "REDIS_URL is 'amqp://host': it must be a URL that starts with redis://"),
    ("REDIS_URL", "sentinel://a:1;b:2", "UNDERSTUDY_SENTINEL_MASTER is missing: REDIS_URL names sentinels"),
    ("BROKER_URL", "sqs://", "BROKER_URL is 'sqs://': it must be a URL that starts with redis://"),
    ("UNDERSTUDY_PREFIX", "a b", "UNDERSTUDY_PREFIX is 'a b': it must be 1 to 40 of A-Z a-z 0-9 : _ . -."),
    ("UNDERSTUDY_ORDER", "ollama,foo", "UNDERSTUDY_ORDER names 'foo': it must be a list of ollama, openai."),
    ("UNDERSTUDY_ORDER", "ollama,ollama", "UNDERSTUDY_ORDER names a provider twice: each may be named once."),
    ("UNDERSTUDY_CONCURRENCY", "0", "UNDERSTUDY_CONCURRENCY is '0': it must be a whole number from 1 to 4096."),
    ("UNDERSTUDY_LOG", "xml", "UNDERSTUDY_LOG is 'xml': it must be console or json."),
    ("UNDERSTUDY_LOG_LEVEL", "loud", "UNDERSTUDY_LOG_LEVEL is 'LOUD': it must be DEBUG, INFO, WARNING or ERROR."),
    ("UNDERSTUDY_PROVIDERS", "[{", "UNDERSTUDY_PROVIDERS cannot be read: it must be a JSON list of objects with name,"),
    ("UNDERSTUDY_PROVIDERS", '{"name": "x"}', "UNDERSTUDY_PROVIDERS cannot be read: it must be a JSON list"),
    ("UNDERSTUDY_PROVIDERS", '["x"]', "UNDERSTUDY_PROVIDERS[0] cannot be used (its value is not shown): it must be an"),
]


@pytest.mark.parametrize(("variable", "value", "sentence"), WRONG)
def test_a_wrong_variable_gets_its_name_what_was_read_and_what_is_allowed(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, sentence: str
) -> None:
    said = wrong(monkeypatch, **{variable: value})
    assert said.startswith(sentence)
    assert "\n" not in said


ENTRY = {"name": "groq", "base_url": "https://groq/v1", "model": "m", "paid": True}
WRONG_ENTRIES = [
    # change, sentence
    ({"name": "Groq"}, "UNDERSTUDY_PROVIDERS[0].name is 'Groq': it must be 1 to 40 of a-z, 0-9, _ and -"),
    ({"name": "groq.batch"}, "UNDERSTUDY_PROVIDERS[0].name is 'groq.batch': it must be 1 to 40 of a-z, 0-9, _ and -"),
    ({"name": "g" * 41}, "UNDERSTUDY_PROVIDERS[0].name is 'ggg"),
    ({"name": "groq\n"}, "UNDERSTUDY_PROVIDERS[0].name is"),
    ({"name": "ollama"}, "UNDERSTUDY_PROVIDERS has ollama twice: each name may be given once"),
    ({"base_url": "groq"}, "UNDERSTUDY_PROVIDERS[0].base_url is 'groq': it must be a URL such as"),
    ({"model": ""}, "UNDERSTUDY_PROVIDERS[0].model is '': it must be 1 to 200 characters."),
    ({"paid": None}, "UNDERSTUDY_PROVIDERS[0].paid is missing: it must be true or false, and must be given"),
    ({"paid": "maybe"}, "UNDERSTUDY_PROVIDERS[0].paid is 'maybe': it must be true or false"),
    ({"timeout_s": 0}, "UNDERSTUDY_PROVIDERS[0].timeout_s is '0': it must be a number of seconds, above 0"),
    ({"context_window": 0}, "UNDERSTUDY_PROVIDERS[0].context_window is '0': it must be a whole number from 1"),
    ({"price": 3}, "UNDERSTUDY_PROVIDERS[0].price is unknown: an entry may have name, base_url, model, api_key"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "sentence"), WRONG_ENTRIES)
def test_a_wrong_entry_of_the_providers_is_named_by_place_and_field(
    monkeypatch: pytest.MonkeyPatch, change: dict[str, object], sentence: str
) -> None:
    assert wrong(monkeypatch, UNDERSTUDY_PROVIDERS=json.dumps([ENTRY | change])).startswith(sentence)


def test_every_wrong_variable_gets_a_sentence_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    said = wrong(monkeypatch, OLLAMA_TIMEOUT="x", OPENAI_TIMEOUT="y", LLM_TEMPERATURE="z").splitlines()
    assert [sentence.split()[0] for sentence in said] == ["OLLAMA_TIMEOUT", "OPENAI_TIMEOUT", "LLM_TEMPERATURE"]


@pytest.mark.parametrize(
    "variables",
    [
        {"OPENAI_API_KEY": "sk-hidden key"},
        {"OPENAI_API_KEY": "sk-hidden-é"},
        {"REDIS_URL": "redis://user:hidden@host:99999"},
        {"REDIS_URL": "redis://:hid@den/hidden@host:99999"},
        {"REDIS_URL": "redis://:hidden"},
        {"REDIS_URL": "http://host?password=hidden"},
        {"BROKER_URL": "user:hidden@host"},
        {"OPENAI_BASE_URL": "https://user:hidden@host/v1"},
        {"OLLAMA_URL": "http://host?api_key=hidden"},
        {"UNDERSTUDY_PROVIDERS": '[{"api_key": "hidden'},
        {"UNDERSTUDY_PROVIDERS": '["hidden"]'},
        {"UNDERSTUDY_PROVIDERS": json.dumps([ENTRY | {"api_key": ["hidden"]}])},
        {"UNDERSTUDY_PROVIDERS": json.dumps([ENTRY | {"apikey": "hidden"}])},
        {"UNDERSTUDY_PROVIDERS": json.dumps([ENTRY | {"api_key": "hidden key"}])},
    ],
)
def test_no_error_shows_a_secret(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as caught:
        load_settings()
    assert next(iter(variables)) in str(caught.value)
    assert "hidden" not in "".join(traceback.format_exception(caught.value))


def test_no_secret_shows_in_what_settings_look_like(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "hidden")
    monkeypatch.setenv("REDIS_URL", "redis://:hidden@host:6379/0")
    monkeypatch.setenv("BROKER_URL", "amqp://user:hidden@host//")
    monkeypatch.setenv("UNDERSTUDY_PROVIDERS", json.dumps([ENTRY | {"api_key": "hidden"}]))
    settings = load_settings()
    assert "hidden" not in f"{settings!r} {settings}"
    assert "redis://:***@host:6379/0" in repr(settings)


MASKED = [
    ("redis://localhost:6379/0", "redis://localhost:6379/0"),
    ("redis://:pw@h:1/0", "redis://:***@h:1/0"),
    ("redis://user:p@w@h", "redis://user:***@h"),
    ("redis://token@h:1", "redis://:***@h:1"),
    ("rediss://u:p/w@h:1/0?ssl_cert_reqs=none", "rediss://u:***@h:1/0?ssl_cert_reqs=none"),
    ("amqp://u:p@h//", "amqp://u:***@h//"),
    ("sentinel://:p;w@a:1;b:2/0", "sentinel://:***@a:1;b:2/0"),
    ("sentinel://:pw@a:1;sentinel://:pw@b:2", "sentinel://:***@a:1;sentinel://:***@b:2"),
    ("unix:///run/redis.sock?password=pw&db=1", "unix:///run/redis.sock?password=***&db=1"),
    ("redis://[::1]:6379/0", "redis://[::1]:6379/0"),
    ("user:pw@h", "user:***@h"),
    ("", ""),
]


@pytest.mark.parametrize(("url", "shown"), MASKED)
def test_a_url_is_shown_without_its_password(url: str, shown: str) -> None:
    assert mask_url(url) == shown


@pytest.mark.parametrize(
    "url",
    [
        "redis://localhost",
        "redis://:p%40ss@host:6379/2",
        "rediss://user:pw@host:6380/0?ssl_cert_reqs=none",
        "unix:///run/redis.sock?db=1",
        "sentinel://:pw@one:26379;two:26379/0",
        "sentinel://one:26379;sentinel://two:26379",
    ],
)
def test_redis_may_be_a_server_tls_a_socket_or_sentinels(url: str) -> None:
    assert load_settings(redis_url=url, understudy_sentinel_master="main").redis_url == url


def test_a_file_that_is_no_text_is_named() -> None:
    Path(".env").write_bytes(b"OLLAMA_URL=\xff\xfe\n")
    with pytest.raises(SettingsError, match=r"\.env cannot be read: it must be UTF-8 text"):
        load_settings()
