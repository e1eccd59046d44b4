"""What operators do on Flower's page, over real HTTP: each action, who may not take it, and what it is told then."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from bot_client import CallCancelled, CallError
from tests.support.flower_process import ACT, API, FlowerProcess
from tests.support.polling import aeventually
from workers.stand_in import Fate

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.flower_process import Browser
    from tests.support.stack import Stack

pytestmark = pytest.mark.timeout(240)
OPERATOR, READER = "op:secret", "reader:secret"
JSON = "application/json"
UNFORCE = json.dumps({"action": "unforce", "why": "to see"})


@pytest.fixture(scope="module")
def flower(redis_stack: Stack) -> Iterator[FlowerProcess]:
    """With two logins, of which one is an operator's."""
    environment = {**redis_stack.environment, "UNDERSTUDY_OPERATORS": "op, another"}
    with FlowerProcess(redis_stack.directory, environment, f"--basic_auth={OPERATOR},{READER}") as running:
        yield running


@pytest.fixture
def operator(flower: FlowerProcess, stack: Stack) -> Browser:
    """Who may act, before a stack that is as new."""
    return flower.by(OPERATOR)


def latest(operator: Browser) -> tuple[str, str, str]:
    """Who did what and why, by the audit log."""
    entry = operator.overview()["audit"][0]
    return entry["who"], entry["what"], entry["why"]


def test_a_provider_is_forced_and_the_force_taken_back(operator: Browser) -> None:
    assert operator.done("force", "ollama is being updated", provider="openai", for_s=90) == (
        "openai is forced for 1 min 30 s."
    )
    forced = operator.provider("openai")["forced"]
    assert (forced["who"], forced["why"]) == ("op", "ollama is being updated")
    assert 0 < forced["left_ms"] <= 90_000
    assert operator.provider("ollama")["forced"] is None
    assert latest(operator) == ("op", "force openai 90s", "ollama is being updated")
    assert operator.done("unforce") == "No provider is forced any more."
    assert operator.provider("openai")["forced"] is None
    assert operator.done("unforce") == "No provider was forced."
    assert operator.done("force", provider="openai") == "openai is forced for 30 min."
    operator.done("unforce")


def test_a_queue_is_paused_and_goes_on(operator: Browser) -> None:
    assert operator.done("pause", "the disk is full", queue="ollama.batch", for_s=3600) == (
        "The queue ollama.batch is paused for 1 h."
    )
    live, batch = operator.provider("ollama")["queues"]
    assert (live["paused_ms"], batch["paused_why"]) == (0, "the disk is full")
    assert 0 < batch["paused_ms"] <= 3_600_000
    assert latest(operator) == ("op", "pause ollama.batch 1h", "the disk is full")
    assert operator.done("resume", queue="ollama.batch") == "The queue ollama.batch goes on."
    assert operator.provider("ollama")["queues"][1]["paused_ms"] == 0
    assert operator.done("resume", queue="ollama.batch") == "The queue ollama.batch was not paused."


async def test_an_open_breaker_is_cleared(operator: Browser, stack: Stack) -> None:
    stack.ollama.set_fate(Fate(status=401))
    async with stack.client() as llm:
        await llm.moderate("hello")
    assert operator.provider("ollama")["breaker"] == "open"
    assert operator.done("clear", "the key is right again", provider="ollama") == "ollama counts as healthy again."
    assert operator.provider("ollama")["breaker"] == "closed"
    assert latest(operator) == ("op", "clear ollama", "the key is right again")
    assert operator.done("clear") == "Each provider counts as healthy again."


async def test_a_running_call_is_cancelled(operator: Browser, stack: Stack) -> None:
    stack.ollama.set_fate(Fate(latency_ms=30_000))
    async with stack.client() as llm:
        call = await llm.submit("moderation", {"text": "hello"}, deadline_s=100)
        await aeventually(lambda: stack.running("ollama") == 1)
        assert operator.done("cancel", call=call.id) == f"The call {call.id} is cancelled."
        with pytest.raises(CallCancelled):
            await call
    assert operator.get(f"{API}/call/{call.id}").json()["state"] == "cancelled"
    assert latest(operator)[1] == f"cancel {call.id}"


async def test_an_answered_call_is_neither_cancelled_nor_run_again(operator: Browser, stack: Stack) -> None:
    async with stack.client() as llm:
        done = await llm.moderate("hello")
    refused = operator.act("cancel", call=done.call_id)
    assert (refused.status, refused.error) == (409, f"The call {done.call_id} cannot be cancelled: it is done.")
    refused = operator.act("retry", call=done.call_id)
    assert (refused.status, refused.error) == (409, f"The call {done.call_id} cannot be run again: it is done.")


async def test_one_failed_call_is_run_again_and_answered(operator: Browser, stack: Stack) -> None:
    call_id = await failed(stack)
    shown = operator.get(f"{API}/call/{call_id}").json()
    assert (shown["state"], shown["worst_microusd"] > 0) == ("failed", True)
    stack.ollama.set_fate(Fate())
    assert operator.done("retry", "the model is back", call=call_id) == f"The call {call_id} runs again."
    assert latest(operator) == ("op", f"retry {call_id}", "the model is back")
    await aeventually(lambda: operator.get(f"{API}/call/{call_id}").json()["state"] == "done")


async def test_all_calls_of_a_cause_are_run_again_and_leave_the_list(operator: Browser, stack: Stack) -> None:
    ids = [await failed(stack) for _ in range(3)]
    told = operator.get(f"{API}/cause/rejected").json()
    assert (told["total"] >= 3, told["worst_microusd"] > 0) == (True, True)
    stack.ollama.set_fate(Fate())
    assert operator.done("retry_cause", reason="rejected", limit=1) == "1 call runs again."
    assert (
        operator.done("retry_cause", reason="rejected")
        == f"{told['total'] - 1} call{'s' * (told['total'] > 2)} run again."
    )
    await aeventually(lambda: {operator.get(f"{API}/call/{each}").json()["state"] for each in ids} == {"done"})
    assert operator.get(f"{API}/cause/rejected").json()["total"] == 0
    refused = operator.act("retry_cause", reason="rejected")
    assert (refused.status, refused.error) == (
        404,
        "No call is left that failed for this reason: the provider rejected the request.",
    )


@pytest.mark.parametrize(
    ("action", "fields", "status", "sentence"),
    [
        ("cancel", {"call": "no-such-call"}, 404, "No call has this id"),
        ("retry", {"call": "no-such-call"}, 404, "No call has this id"),
        ("retry_cause", {"reason": "no_such_reason"}, 404, "No call is left that failed for this reason"),
        ("force", {"provider": "mistral"}, 400, "there is no provider 'mistral'; the providers are ollama, openai"),
        ("clear", {"provider": "mistral"}, 400, "there is no provider 'mistral'"),
        ("pause", {"queue": "mistral"}, 400, "there is no queue 'mistral'; the queues are ollama, ollama.batch"),
        ("resume", {"queue": "mistral"}, 400, "there is no queue 'mistral'"),
        ("force", {"provider": "openai", "for_s": 90_000}, 400, "force: for_s must be a number from 1 to 86,400."),
        ("force", {"provider": "openai", "why": " "}, 400, "force: why is missing."),
        ("force", {"provider": "openai", "why": "x" * 201}, 400, "force: why has 201 characters; at most 200"),
        ("shutdown", {}, 400, "action must be one of force, unforce"),
    ],
)
def test_an_action_on_what_is_not_there_says_so(
    operator: Browser, action: str, fields: dict[str, Any], status: int, sentence: str
) -> None:
    before = operator.overview()["audit"][:1]
    refused = operator.act(action, **fields)
    assert refused.status == status
    assert sentence in refused.error
    assert operator.overview()["audit"][:1] == before


def test_who_is_no_operator_reads_and_is_told_why_no_more(flower: FlowerProcess, stack: Stack) -> None:
    reader = flower.by(READER)
    seen = reader.overview()
    assert (seen["who"], seen["may_act"]) == ("reader", False)
    assert seen["why_not"] == "You are signed in as reader, and UNDERSTUDY_OPERATORS does not name you: you may read."
    for action in ("force", "unforce", "clear", "pause", "resume", "cancel", "retry", "retry_cause"):
        refused = reader.act(action, provider="openai", queue="openai", call="x", reason="x")
        assert (refused.status, refused.error) == (403, seen["why_not"])
    assert reader.provider("openai")["forced"] is None


def test_an_action_without_the_pages_token_is_refused(flower: FlowerProcess, stack: Stack) -> None:
    operator = flower.by(OPERATOR)
    token = operator.token()
    other = flower.by(OPERATOR).token()
    refusals = [
        operator.ask("POST", ACT, UNFORCE, Content_Type=JSON),
        operator.ask("POST", ACT, UNFORCE, Content_Type=JSON, X_XSRFToken=""),
        operator.ask("POST", ACT, UNFORCE, Content_Type=JSON, X_XSRFToken=other),
        operator.ask("POST", ACT, UNFORCE, Content_Type=JSON, X_XSRFToken="2|rubbish"),
        operator.ask("POST", f"{ACT}?_xsrf={token}", UNFORCE, Content_Type=JSON),
        operator.ask("POST", f"{ACT}?_xsrf={token}", UNFORCE, Content_Type=JSON, X_XSRFToken=token),
        operator.ask("POST", ACT, UNFORCE, Content_Type=JSON, X_CSRFToken=token),
        flower.by(OPERATOR).ask("POST", ACT, UNFORCE, Content_Type=JSON, X_XSRFToken=token),
    ]
    sentence = "The action has no valid token in its header X-XSRFToken: load the page again."
    assert [(refused.status, refused.error) for refused in refusals] == [(403, sentence)] * len(refusals)
    assert operator.ask("POST", ACT, UNFORCE, Content_Type=JSON, X_XSRFToken=token).status == 200


def test_an_action_that_another_sites_page_asks_for_is_refused(flower: FlowerProcess, stack: Stack) -> None:
    operator = flower.by(OPERATOR)
    given = {"Content_Type": JSON, "X_XSRFToken": operator.token()}
    here = f"http://127.0.0.1:{flower.port}"
    foreign: list[dict[str, str]] = [
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site", "Origin": here},
        {"Origin": "https://evil.example.org"},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": "null"},
    ]
    for headers in foreign:
        refused = operator.ask("POST", ACT, UNFORCE, **given, **headers)
        assert (refused.status, refused.error) == (403, "Actions are taken on Flower's own page only.")
    for headers in ({"Sec_Fetch_Site": "same-origin"}, {"Origin": here}):
        assert operator.ask("POST", ACT, UNFORCE, **given, **headers).status == 200


def test_an_action_is_json_and_nothing_else(flower: FlowerProcess, stack: Stack) -> None:
    operator = flower.by(OPERATOR)

    def status(body: str, kind: str = JSON) -> int:
        return operator.ask("POST", ACT, body, Content_Type=kind, X_XSRFToken=operator.token()).status

    assert status("action=unforce&why=x", "application/x-www-form-urlencoded") == 415
    assert status(UNFORCE, "text/plain") == 415
    assert status(UNFORCE, "application/json; charset=utf-8") == 200
    assert [status(body) for body in ("", "{", "[]", "7", '{"action": 7}', "[" * 5000, '{"why": "x"}')] == [400] * 7
    assert status(json.dumps({"action": "unforce", "why": "x" * 20_000})) == 413


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE"])
def test_nothing_is_done_by_any_other_method(flower: FlowerProcess, stack: Stack, method: str) -> None:
    operator = flower.by(OPERATOR)
    operator.done("force", provider="openai")
    answer = operator.ask(
        method, f"{ACT}?action=unforce&why=x", UNFORCE, Content_Type=JSON, X_XSRFToken=operator.token()
    )
    assert answer.status == 405
    assert operator.provider("openai")["forced"] is not None
    operator.done("unforce")


async def failed(stack: Stack) -> str:
    """The id of a call that its provider rejected."""
    stack.ollama.set_fate(Fate(status=400))
    async with stack.client() as llm:
        with pytest.raises(CallError) as caught:
            await llm.moderate("hello")
    return caught.value.call_id
