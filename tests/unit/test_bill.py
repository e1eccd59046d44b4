"""What an attempt's requests cost, as its worker knows it."""

from __future__ import annotations

import json

import pytest

from understudy.contracts.call import Usage
from understudy.pricing import Price
from workers.chat_reply import Gathering
from workers.money import Bill

PRICE = Price(input=1_000_000, output=2_000_000)
USED = Usage(prompt_tokens=10, completion_tokens=5)


def test_nothing_is_owed_before_the_request_goes_out() -> None:
    bill = Bill(PRICE, 100)
    assert (bill.settled, bill.total) == (0, 0)


def test_a_request_on_its_way_counts_as_what_was_reserved_and_settles_nothing() -> None:
    bill = Bill(PRICE, 100)
    bill.sent()
    assert (bill.settled, bill.total) == (None, 100)


def test_an_answer_with_usage_settles_at_its_cost() -> None:
    bill = Bill(PRICE, 100)
    bill.sent()
    bill.answered(USED)
    assert (bill.settled, bill.total) == (20, 20)


@pytest.mark.parametrize("usage", [Usage(), Usage(prompt_tokens=10), Usage(completion_tokens=5)])
def test_an_answer_without_its_whole_usage_keeps_the_reservation(usage: Usage) -> None:
    bill = Bill(PRICE, 100)
    bill.sent()
    bill.answered(usage)
    assert (bill.settled, bill.total) == (None, 100)


def test_what_was_certainly_not_billed_costs_nothing() -> None:
    bill = Bill(PRICE, 100)
    bill.sent()
    bill.not_charged()
    assert (bill.settled, bill.total) == (0, 0)


def test_an_attempt_costs_what_all_its_requests_cost() -> None:
    bill = Bill(PRICE, 100)
    bill.sent()
    bill.next(70)  # the first one was cut off
    assert (bill.settled, bill.total) == (0, 100)
    bill.sent()
    bill.answered(USED)
    bill.next(30)
    assert (bill.settled, bill.total) == (0, 120)
    bill.sent()
    assert (bill.settled, bill.total) == (None, 150)


def test_a_free_provider_costs_nothing_and_settles_nothing() -> None:
    bill = Bill()
    bill.sent()
    assert (bill.settled, bill.total) == (None, 0)
    bill.answered(USED)
    assert (bill.settled, bill.total) == (None, 0)


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ({"prompt_tokens": 9, "completion_tokens": 5, "total_tokens": 14}, {}),
        ({"prompt_tokens_details": {"cached_tokens": 7, "cache_write_tokens": 1, "audio_tokens": 0}},
         {"cached_tokens": 7, "cache_write_tokens": 1}),
        ({"completion_tokens_details": {"reasoning_tokens": 3}}, {"reasoning_tokens": 3}),
        ({"prompt_tokens_details": None, "completion_tokens_details": []}, {}),
        ({"prompt_tokens_details": {"cached_tokens": -1}, "completion_tokens_details": {"reasoning_tokens": True}}, {}),
    ],
)  # fmt: skip
def test_usage_is_read_as_the_provider_reports_it(given: dict[str, object], read: dict[str, int]) -> None:
    counts = {"prompt_tokens": 9, "completion_tokens": 5, "total_tokens": 14}
    got = Gathering()
    got.event(json.dumps({"choices": [], "usage": {**counts, **given}}).encode())
    assert got.usage == Usage(**{**counts, **read})
