"""Flower's page of providers over real HTTP: what it shows, who sees it, and by which names it is reached."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from tornado.web import create_signed_value

from bot_client import CallError
from tests.support.flower_process import ACT, API, FlowerProcess
from tests.support.polling import aeventually
from workers.stand_in import Fate

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.stack import Stack

pytestmark = pytest.mark.timeout(240)
OPERATOR, READER = "op:secret", "reader:secret"
PLANTED = "a phrase that nobody but its writer may read"
PATHS = ("/providers", API, f"{API}/call/x", f"{API}/cause/deadline", "/providers/static/providers.js")


@pytest.fixture(scope="module")
def flower(redis_stack: Stack) -> Iterator[FlowerProcess]:
    """With two logins, of which one is an operator's."""
    environment = {**redis_stack.environment, "UNDERSTUDY_OPERATORS": "op"}
    with FlowerProcess(redis_stack.directory, environment, f"--basic_auth={OPERATOR},{READER}") as running:
        yield running


async def test_flowers_navigation_leads_to_the_page(flower: FlowerProcess, stack: Stack) -> None:
    for path in ("/workers", "/tasks", "/broker"):
        page = flower.by(READER).get(path)
        assert (page.status, page.text.count('href="/providers"')) == (200, 1)
    page = flower.by(READER).get("/providers")
    assert page.status == 200
    assert 'aria-current="page">Providers</a>' in page.text
    assert page.headers["content-security-policy"].startswith("default-src 'none'")
    assert page.headers["x-frame-options"] == "DENY"
    assert page.headers["cache-control"] == "no-store"


async def test_the_pages_files_are_sent_again_only_when_they_have_changed(flower: FlowerProcess, stack: Stack) -> None:
    file = flower.by(READER).get("/providers/static/providers.js")
    assert (file.status, file.headers["cache-control"]) == (200, "private, no-cache")
    assert file.headers["content-type"].startswith("text/javascript")
    again = flower.by(READER).get("/providers/static/providers.js", If_None_Match=file.headers["etag"])
    assert (again.status, again.text) == (304, "")
    assert flower.by(READER).get("/providers/static/../hook.py").status in (403, 404)
    assert flower.by(READER).get("/providers/static/..%2fhook.py").status in (403, 404)


@pytest.mark.parametrize("login", ["", "op:wrong", "nobody:secret", "op:geheimnisä"])
async def test_nothing_is_shown_or_done_without_a_login(flower: FlowerProcess, stack: Stack, login: str) -> None:
    visitor = flower.by(login)
    assert [visitor.get(path).status for path in PATHS] == [401] * len(PATHS)
    assert "flower" in visitor.get(API).headers["www-authenticate"]
    refused = visitor.ask("POST", ACT, json.dumps({"action": "unforce", "why": "x"}), Content_Type="application/json")
    assert (refused.status, refused.error) == (401, "Sign in to Flower first.")
    assert "access-control-allow-origin" not in visitor.get(API).headers


async def test_what_the_providers_do_is_shown(flower: FlowerProcess, stack: Stack) -> None:
    before = flower.by(READER).provider("openai")["answered"]
    stack.ollama.set_fate(Fate(refuse=True))
    async with stack.client() as llm:
        outcome = await llm.moderate(PLANTED)
    shown = flower.by(READER).overview()
    free, paid = shown["providers"]
    assert (shown["who"], shown["may_act"]) == ("reader", False)
    assert [row["name"] for row in shown["providers"]] == ["ollama", "openai"]
    assert (free["paid"], free["local"], paid["paid"], paid["model"]) == (False, True, True, "gpt-stand-in")
    assert paid["answered"] == before + 1
    assert paid["p50_ms"] is not None
    assert (len(paid["series"]), paid["series"][-1]["answered"] + paid["series"][-2]["answered"] >= 1) == (15, True)
    assert [queue["name"] for queue in paid["queues"]] == ["openai", "openai.batch"]
    assert (paid["queues"][0]["workers"], paid["queues"][0]["concurrency"], paid["queues"][0]["drain_ms"]) == (1, 16, 0)
    assert shown["money"]["day_microusd"] >= outcome.cost_microusd > 0
    assert shown["money"]["month_microusd"] >= outcome.cost_microusd
    latest = shown["fallbacks"][0]
    assert {name: latest[name] for name in ("call", "kind", "from", "to", "why")} == {
        "call": outcome.call_id,
        "kind": "moderation",
        "from": "ollama",
        "to": "openai",
        "why": "connection refused",
    }


async def test_an_open_breaker_is_shown_with_its_reason_and_the_next_try(flower: FlowerProcess, stack: Stack) -> None:
    stack.ollama.set_fate(Fate(refuse=True))
    async with stack.client() as llm:
        for _ in range(3):
            await llm.moderate("hello")
    await aeventually(lambda: flower.by(READER).provider("ollama")["breaker"] == "open")
    seen = flower.by(READER).provider("ollama")
    assert (seen["breaker"], seen["why"]) == ("open", "connection refused")
    now = flower.by(READER).overview()["now"]
    assert now - 60_000 < seen["since_ms"] <= now < seen["next_try_ms"] + 60_000
    assert flower.by(READER).provider("openai")["preferred"]


async def test_a_call_is_found_by_its_id_and_says_why_it_waits(flower: FlowerProcess, stack: Stack) -> None:
    operator = flower.by(OPERATOR)
    for name in ("ollama", "openai"):
        operator.done("pause", queue=name, for_s=60, why="a look at waiting calls")
    async with stack.client() as llm:
        call = await llm.submit("moderation", {"text": PLANTED}, deadline_s=200)
        waiting = flower.by(READER).get(f"{API}/call/{call.id}").json()
        assert (waiting["id"], waiting["kind"], waiting["ended_ms"]) == (call.id, "moderation", None)
        assert waiting["state"] in ("queued", "parked")
        assert any("paused" in sentence for sentence in waiting["waits"])
        assert waiting["bars"][-1]["what"] in ("queued", "parked")
        operator.done("cancel", call=call.id)
        for name in ("ollama", "openai"):
            operator.done("resume", queue=name)
        answered = await llm.moderate(PLANTED)
    gone = flower.by(READER).get(f"{API}/call/{call.id}").json()
    assert (gone["state"], gone["bars"][-1]["what"], gone["ended_ms"] >= gone["created_ms"]) == ("cancelled",) * 2 + (
        True,
    )
    ended = flower.by(READER).get(f"{API}/call/{answered.call_id}").json()
    assert (ended["state"], ended["provider"], ended["reason"]) == ("done", answered.provider, "")
    assert [bar["what"] for bar in ended["bars"]][-2:] == ["answered", "done"]
    assert PLANTED not in json.dumps([waiting, gone, ended])


async def test_failed_calls_are_grouped_by_their_cause(flower: FlowerProcess, stack: Stack) -> None:
    for provider in (stack.ollama, stack.openai):
        provider.set_fate(Fate(status=400))
    async with stack.client() as llm:
        with pytest.raises(CallError) as caught:
            await llm.moderate(PLANTED)
    cause = next(row for row in flower.by(READER).overview()["causes"] if row["reason"] == "rejected")
    assert (cause["words"], cause["calls"] >= 1) == ("the provider rejected the request", True)
    told = flower.by(READER).get(f"{API}/cause/rejected").json()
    assert told["total"] == cause["calls"]
    assert told["worst_microusd"] > 0
    cheap = flower.by(READER).get(f"{API}/cause/rejected?cost=no").json()
    assert cheap.pop("before_ms") >= told.pop("before_ms")
    assert cheap == {name: value for name, value in told.items() if name != "worst_microusd"}
    latest = told["calls"][0]
    assert (latest["id"], latest["kind"], latest["attempts"]) == (caught.value.call_id, "moderation", 1)
    assert flower.by(READER).get(f"{API}/call/{caught.value.call_id}").json()["reason_words"] == cause["words"]


async def test_nothing_that_users_write_is_shown_anywhere(flower: FlowerProcess, stack: Stack) -> None:
    reader = flower.by(READER)
    async with stack.client() as llm:
        answered = await llm.moderate(PLANTED)
        stack.ollama.set_fate(Fate(status=400))
        with pytest.raises(CallError) as caught:
            await llm.moderate(PLANTED, only="ollama")
    ids = [answered.call_id, caught.value.call_id]
    await aeventually(lambda: all(reader.get(f"/task/{call_id}").status == 200 for call_id in ids))
    paths = [*PATHS, *(f"{API}/call/{call_id}" for call_id in ids), f"{API}/cause/rejected"]
    paths += ["/workers", "/tasks", "/broker", "/api/tasks", *(f"/task/{call_id}" for call_id in ids)]
    texts = [reader.get(path).text for path in paths]
    assert [path for path, text in zip(paths, texts, strict=True) if PLANTED in text or "WIN" in text] == []
    assert all(call_id in "".join(texts) for call_id in ids)


async def test_it_works_under_a_prefix(redis_stack: Stack, stack: Stack) -> None:
    options = ("--url_prefix=flower", f"--basic_auth={OPERATOR}")
    environment = {**redis_stack.environment, "UNDERSTUDY_OPERATORS": "op"}
    with FlowerProcess(redis_stack.directory, environment, *options) as flower:
        operator = flower.by(OPERATOR)
        assert 'href="/flower/providers"' in operator.get("/workers").text
        assert [operator.get(path).status for path in ("/providers", API, "/providers/static/providers.js")] == [
            200
        ] * 3
        assert operator.done("clear", provider="ollama") == "ollama counts as healthy again."
        assert flower.by().get(API).status == 401


async def test_without_a_login_only_who_comes_by_a_name_of_this_machine_is_served_and_may_act(
    redis_stack: Stack, stack: Stack
) -> None:
    environment = {**redis_stack.environment, "UNDERSTUDY_OPERATORS": "local"}
    with FlowerProcess(redis_stack.directory, environment) as flower:
        here, rebound, proxied = flower.by(), flower.by(), flower.by()
        rebound.host = f"evil.example.org:{flower.port}"
        assert (here.overview()["who"], here.overview()["may_act"]) == ("local", True)
        assert here.done("unforce") == "No provider was forced."
        for path in ("/providers", "/providers/static/providers.js", API, f"{API}/call/c1", f"{API}/cause/deadline"):
            assert rebound.get(path).status == 403
        assert rebound.get(API).error == "Without a login this is shown under localhost or 127.0.0.1 alone."
        assert rebound.ask("POST", f"{API}/act", "{}").status == 403
        # a proxy may ask for a login by itself
        seen = proxied.get(API, X_Forwarded_For="10.0.0.1").json()
        assert (seen["who"], seen["may_act"]) == (None, False)


async def test_flowers_own_actions_are_off(redis_stack: Stack, stack: Stack) -> None:
    environment = {**redis_stack.environment, "FLOWER_UNAUTHENTICATED_API": "true"}
    with FlowerProcess(redis_stack.directory, environment) as flower:
        here = flower.by()
        for path in (
            "/api/task/apply/celery.backend_cleanup",
            "/api/task/async-apply/moderation",
            "/api/task/send-task/moderation",
            "/api/task/abort/one",
            "/api/task/revoke/one",
            "/api/worker/shutdown/ollama@test",
            "/api/worker/queue/cancel-consumer/ollama@test?queue=ollama",
        ):
            assert here.ask("POST", path, "{}").status == 403


async def test_with_oauth_the_operator_is_the_address_that_signed_in(redis_stack: Stack, stack: Stack) -> None:
    secret = "a secret for cookies"
    environment = {**redis_stack.environment, "UNDERSTUDY_OPERATORS": "ann@example.org"}
    options = ["--auth=.*@example.org", "--auth_provider=flower.views.auth.GoogleAuth2LoginHandler"]
    options += ["--oauth2_key=key", "--oauth2_secret=made-up", "--oauth2_redirect_uri=http://127.0.0.1/login"]
    with FlowerProcess(redis_stack.directory, environment, *options, f"--cookie_secret={secret}") as flower:
        ann, bob, eve = (flower.by() for _ in range(3))
        for visitor, user in ((ann, "ann@example.org"), (bob, "bob@example.org"), (eve, "eve@example.com")):
            visitor.cookies["user"] = create_signed_value(secret, "user", user).decode()
        assert (ann.overview()["who"], ann.overview()["may_act"]) == ("ann@example.org", True)
        assert ann.done("unforce") == "No provider was forced."
        assert bob.overview()["why_not"].startswith("You are signed in as bob@example.org")
        assert bob.act("unforce").status == 403
        assert eve.get(API).status == 401
        page = flower.by().get("/providers")
        assert (page.status, page.headers["location"].startswith("/login")) == (302, True)
        assert flower.by().get(API).status == 401
