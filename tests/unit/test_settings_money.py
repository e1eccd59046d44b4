"""Budgets as settings: what they default to, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from understudy.errors import SettingsError
from understudy.pricing import Price
from understudy.settings import load_settings
from understudy.settings_money import Budgets, prices_setting

DAY, MONTH, USER, KIND = (f"understudy_budget_{name}_usd" for name in ("day", "month", "user_day", "kind_day"))


@pytest.mark.parametrize(
    ("given", "budgets"),
    [
        ({}, Budgets(day=5_000_000)),
        ({DAY: "none"}, Budgets()),
        ({DAY: " None "}, Budgets()),
        ({DAY: "0"}, Budgets(day=0)),
        ({DAY: "0.5"}, Budgets(day=500_000)),
        ({MONTH: "100"}, Budgets(month=100_000_000)),
        ({MONTH: "100", DAY: "7"}, Budgets(day=7_000_000, month=100_000_000)),
        ({USER: "0.01"}, Budgets(user_day=10_000)),
        ({KIND: '{"agent_turn": 2.5, "moderation": "1"}'},
         Budgets(kind_day={"agent_turn": 2_500_000, "moderation": 1_000_000})),
    ],
)  # fmt: skip
def test_the_default_day_holds_where_no_budget_is_set_at_all(given: dict[str, Any], budgets: Budgets) -> None:
    assert Budgets.of(load_settings(env_file=None, **given)) == budgets


@pytest.mark.parametrize("variable", [DAY, MONTH, USER])
@pytest.mark.parametrize("amount", ["-5", "5 EUR", "EUR 5", "5€", "$5", "1000001", "nan", "inf", "1e3", "five"])
def test_an_absurd_budget_is_refused_by_name(variable: str, amount: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings(env_file=None, **{variable: amount})
    assert str(caught.value) == (
        f"{variable.upper()} is {amount!r}: it must be an amount in US dollars without a currency, such as 5 or 0.25,"
        " from 0 to 1000000, or none."
    )


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ('{"modertion": 1}', "it names 'modertion'"),
        ('{"moderation": "1 EUR"}', "that of moderation is none"),
        ('{"moderation": -1}', "that of moderation is none"),
        ('{"moderation": null}', "that of moderation is none"),
        ("5", "must be a JSON object of kind (moderation, thread_naming, agent_turn)"),
    ],
)
def test_a_wrong_budget_of_a_kind_is_refused_by_name(given: str, said: str) -> None:
    with pytest.raises(SettingsError, match=r"^UNDERSTUDY_BUDGET_KIND_DAY_USD ") as caught:
        load_settings(env_file=None, **{KIND: given})
    assert said in str(caught.value)


@pytest.mark.parametrize("limit", ["0", "-1", "1000001", "many"])
def test_the_token_limit_of_a_paid_answer_has_bounds(limit: str) -> None:
    with pytest.raises(SettingsError, match=r"UNDERSTUDY_PAID_MAX_TOKENS .* a whole number from 1 to 1000000"):
        load_settings(env_file=None, understudy_paid_max_tokens=limit)


def test_prices_that_were_read_are_written_as_they_are_read() -> None:
    price = Price(150_000, 600_000, 75_000, reasoning=1, date="2026-11-01", source="UNDERSTUDY_PRICES")
    written = prices_setting({"m": price})
    settings = load_settings(env_file=None, openai_model_name="m", understudy_prices=written)
    assert settings.understudy_prices == {"m": price}
