"""What a request costs by its usage, and where prices come from."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest

from understudy.contracts.call import Usage
from understudy.errors import SettingsError
from understudy.money import dollars, microusd
from understudy.pricing import Price, cost_microusd, max_cost_microusd, price_of, priced, unpriced
from understudy.providers import providers_from
from understudy.settings import Settings, load_settings

PLAIN = Price(input=100_000, output=500_000)
CACHED = Price(input=100_000, output=500_000, cached_input=10_000, cache_write=125_000)
THINKS = Price(input=100_000, output=500_000, reasoning=800_000)
TIERED = Price(100_000, 500_000, tiers=((1_000, Price(200_000, 750_000)), (5_000, Price(400_000, 900_000))))


def usage(prompt: int, answer: int, **details: int) -> Usage:
    return Usage(prompt_tokens=prompt, completion_tokens=answer, **details)


@pytest.mark.parametrize(
    ("price", "used", "cost"),
    [
        (PLAIN, usage(1_000, 100), 150),
        (PLAIN, usage(0, 0), 0),
        (PLAIN, usage(1, 0), 1),  # rounded up, never to nothing
        (PLAIN, usage(10, 0), 1),
        (PLAIN, usage(11, 0), 2),
        (PLAIN, usage(1_000, 100, cached_tokens=900), 150),  # no rate of their own
        (CACHED, usage(1_000, 100, cached_tokens=900), 10 + 9 + 50),
        (CACHED, usage(1_000, 100, cached_tokens=500, cache_write_tokens=400), 10 + 5 + 50 + 50),
        (CACHED, usage(1_000, 0, cached_tokens=5_000), 10),  # never more than the prompt
        (PLAIN, usage(0, 100, reasoning_tokens=90), 50),  # they are part of the answer
        (THINKS, usage(0, 100, reasoning_tokens=90), 5 + 72),
        (TIERED, usage(1_000, 100), 100 + 50),
        (TIERED, usage(1_001, 100), 201 + 75),  # 200.2 and 75, rounded up together
        (TIERED, usage(5_001, 100), 2_091),
        (Price(0, 0, request=5_000_000_000), usage(1, 1), 5_000),
        (PLAIN, Usage(), 0),
    ],
)
def test_a_request_costs_what_its_tokens_cost(price: Price, used: Usage, cost: int) -> None:
    assert cost_microusd(price, used) == cost


@pytest.mark.parametrize("price", [PLAIN, CACHED, THINKS, TIERED])
@pytest.mark.parametrize("prompt", [0, 1, 999, 1_001, 6_000])
@pytest.mark.parametrize("details", [{}, {"cached_tokens": 500}, {"cache_write_tokens": 600}, {"reasoning_tokens": 77}])
def test_no_usage_within_the_limits_costs_more_than_was_reserved(
    price: Price, prompt: int, details: dict[str, int]
) -> None:
    assert cost_microusd(price, usage(prompt, 100, **details)) <= max_cost_microusd(price, prompt, 100)
    assert max_cost_microusd(price, prompt, 100) <= max_cost_microusd(price, prompt + 1, 101)


def settings(**given: Any) -> Settings:
    return load_settings(env_file=None, **given)


def prices(model: str, **rates: object) -> str:
    return json.dumps({model: {"date": "2026-11-01", **rates}})


def test_a_price_of_the_settings_wins_over_the_packages() -> None:
    own = price_of("gpt-4o-mini", settings(openai_model_name="gpt-4o-mini"))
    assert own is not None
    assert own.source.startswith("genai-prices ")
    assert (own.input, own.output, own.cached_input) == (150_000, 600_000, 75_000)
    given = prices("gpt-4o-mini", input=1, output="2.5", cached_input=0.05)
    other = price_of("gpt-4o-mini", settings(openai_model_name="gpt-4o-mini", understudy_prices=given))
    assert other == Price(1_000_000, 2_500_000, 50_000, date="2026-11-01", source="UNDERSTUDY_PRICES")


def test_the_default_model_has_a_price() -> None:
    default = settings()
    price = price_of(default.openai_model_name, default, default.openai_base_url)
    assert price is not None
    assert price.output > price.input > 0


def test_a_paid_provider_without_a_price_is_left_out_with_a_sentence_that_says_what_to_set() -> None:
    nobody = settings(openai_api_key="sk", openai_model_name="gpt-nobody-sells")
    found = providers_from(nobody)
    assert [provider.name for provider in priced(found, nobody)] == ["ollama"]
    (sentence,) = unpriced(found, nobody)
    assert sentence.startswith("The paid provider openai is absent: its model gpt-nobody-sells has no price")
    assert "UNDERSTUDY_PRICES" in sentence
    mended = settings(
        openai_api_key="sk",
        openai_model_name="gpt-nobody-sells",
        understudy_prices=prices("gpt-nobody-sells", input=1, output=2),
    )
    names = {provider.name: provider.price for provider in priced(providers_from(mended), mended)}
    assert names["ollama"] is None
    assert names["openai"] is not None
    assert unpriced(providers_from(mended), mended) == []


def test_a_bot_without_the_package_knows_the_prices_of_the_settings_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "genai_prices", None)
    monkeypatch.setitem(sys.modules, "genai_prices.data_snapshot", None)
    monkeypatch.setattr("understudy.pricing.find_spec", lambda _: None)
    bot = settings(openai_api_key="sk", openai_model_name="gpt-of-a-bot-alone")
    assert price_of("gpt-of-a-bot-alone", bot) is None
    assert unpriced(providers_from(bot), bot) == []
    own = settings(openai_model_name="m", understudy_prices=prices("m", input=0, output=0))
    assert price_of("m", own) == Price(0, 0, date="2026-11-01", source="UNDERSTUDY_PRICES")


@pytest.mark.parametrize(
    ("amount", "micro"),
    [("5", 5_000_000), (5, 5_000_000), (0.25, 250_000), (" 0.000001 ", 1), ("0", 0), ("1000000", 10**12)],
)
def test_amounts_are_exact(amount: object, micro: int) -> None:
    assert microusd(amount) == micro


@pytest.mark.parametrize(
    "amount", ["-1", "5 EUR", "$5", "5,50", "1e3", "nan", "inf", "", "1000000.01", "0.0000001", None, True, [], "٥"]
)
def test_what_is_no_amount_is_refused(amount: object) -> None:
    with pytest.raises(ValueError, match="an amount in US dollars without a currency"):
        microusd(amount)


@pytest.mark.parametrize(
    ("micro", "words"),
    [(0, "$0.00"), (5_000_000, "$5.00"), (1_500, "$0.0015"), (-80, "-$0.00008"), (1_234_567_890, "$1,234.56789")],
)
def test_amounts_are_said_with_as_many_decimals_as_they_need(micro: int, words: str) -> None:
    assert dollars(micro) == words


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (prices("gpt-6-luna", input=1), "that of 'gpt-6-luna' lacks output"),
        (prices("gpt-6-luna", output=1), "lacks input"),
        ('{"gpt-6-luna": {"input": 1, "output": 1}}', "lacks date"),
        (prices("gpt-6-luna", input="1 EUR", output=1), "has a wrong input"),
        (prices("gpt-6-luna", input=-1, output=1), "has a wrong input"),
        (prices("gpt-6-luna", input=1, output=100_001), "has a wrong output"),
        (prices("gpt-6-luna", input=1, output=1, per="token"), "has an unknown per"),
        (prices("gpt-6-luna", input=1, output=1, date="yesterday"), "has a wrong date"),
        (prices("gpt-6-lunar", input=1, output=1), "'gpt-6-lunar', which is no provider's model: they are llama3.2"),
        ('{"gpt-6-luna": 3}', "is no object"),
        ("[]", "must be a JSON object of model to its price"),
        ('{"gpt-6-luna"', "must be a JSON object of model to its price"),
    ],
)
def test_a_price_file_with_a_gap_is_refused_by_name(given: str, said: str) -> None:
    with pytest.raises(SettingsError, match=r"^UNDERSTUDY_PRICES ") as caught:
        settings(understudy_prices=given)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
