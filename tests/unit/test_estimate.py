"""What a call would cost is told from sizes that the workers' own prompts have."""

from __future__ import annotations

import json
from typing import Any

import pytest

import tasks.agent_turn
import tasks.moderation
import tasks.thread_naming  # noqa: F401 - each registers its kind
from tasks.answer import MAX_QUOTED
from tests.support.chat_parts import provider_at
from understudy.contracts import KINDS
from understudy.contracts.moderation import ModerationRequest
from understudy.estimate import FRAMES, QUOTED_BYTES, REPEATED_LIMIT, Estimate, estimate_of
from understudy.pricing import Price, max_cost_microusd
from understudy.settings import load_settings
from understudy.tokens import estimate_tokens, upper_bound_tokens
from workers.kind_work import work_for
from workers.money import money_of
from workers.second_prompt import RAISED_TOKENS

PRICE = Price(1_000_000, 2_000_000)
SETTINGS = load_settings(env_file=None)
PAID = provider_at("http://127.0.0.1:9", name="openai", paid=True, price=PRICE)
SHORT: dict[str, dict[str, Any]] = {
    "moderation": {"text": "x"},
    "thread_naming": {"first_message": "x"},
    "agent_turn": {"messages": [{"role": "user", "content": "x"}]},
}
LONG = 'Καλημέρα <b>"κόσμε"</b> [1] \\ 🙂 ' * 40


@pytest.mark.parametrize("kind", KINDS)
def test_the_frame_of_a_kind_is_what_workers_reserve_for_it(kind: str) -> None:
    money, frame = money_of(kind, PAID, SETTINGS), FRAMES[kind]
    assert money is not None
    assert money.frame <= frame.bytes <= money.frame * 1.25
    assert frame.escapes == money.escapes
    assert (frame.max_tokens or SETTINGS.understudy_paid_max_tokens) == money.max_tokens


@pytest.mark.parametrize("kind", KINDS)
def test_the_likely_size_is_near_that_of_the_prompt(kind: str) -> None:
    work = work_for(kind)
    prompt = work.build(KINDS[kind].request.model_validate(SHORT[kind]))
    sent = json.dumps([prompt.messages, prompt.response_format], ensure_ascii=False, separators=(",", ":"))
    assert FRAMES[kind].tokens == pytest.approx(estimate_tokens(sent), rel=0.3)


@pytest.mark.parametrize("text", ["x", "hello " * 50, LONG, "<" * 500, '"' * 500])
@pytest.mark.parametrize("kind", KINDS)
def test_no_prompt_costs_more_than_the_estimate_says(kind: str, text: str) -> None:
    given = json.loads(json.dumps(SHORT[kind]).replace('"x"', json.dumps(text)))
    request = KINDS[kind].request.model_validate(given)
    prompt = work_for(kind).build(request)
    limit = prompt.max_tokens or SETTINGS.understudy_paid_max_tokens
    estimate = estimate_of(kind, request, PRICE, paid_max_tokens=SETTINGS.understudy_paid_max_tokens)
    # what the model reads, without the JSON around it
    read = sum(upper_bound_tokens(message["content"]) for message in prompt.messages)
    read += upper_bound_tokens(json.dumps(prompt.response_format))
    assert max_cost_microusd(PRICE, read, limit) <= estimate.most < estimate.repeated
    assert 0 < estimate.likely < estimate.most


def test_a_second_question_is_bounded_by_what_workers_ask() -> None:
    assert REPEATED_LIMIT == RAISED_TOKENS
    assert QUOTED_BYTES > 2 * MAX_QUOTED


def test_estimates_add_up() -> None:
    one = estimate_of("moderation", ModerationRequest(text="x"), PRICE, paid_max_tokens=1)
    assert Estimate().plus(one).plus(one) == Estimate(2, 2 * one.likely, 2 * one.most, 2 * one.repeated)
