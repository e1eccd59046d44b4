"""A phrase that users write stands in no page, event, log or metric, however the calls end that hold it."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from bot_client import CallError, Outcome, Quarantined
from bot_client.client import Understudy
from bot_client.metrics import ClientMetrics
from tests.support.command_line import CommandLine
from tests.support.echo import Echo
from tests.support.flower_process import API, Browser, FlowerProcess
from tests.support.plain_parts import LIMIT_S, Eavesdropper, PlainCaller
from tests.support.polling import aeventually, eventually
from tests.support.ports import free_port
from tests.support.scrape import scrape
from tests.support.stack import Stack
from workers.stand_in import Fate

if TYPE_CHECKING:
    from collections.abc import Iterator

    from workers.local_redis import Flavour

pytestmark = pytest.mark.timeout(240)
PHRASE = "Quokkazanzibar"
"""One word, so that a model that shortens what it was told keeps it whole."""

TEXT = f"Please tell nobody: {PHRASE}"
ARGUMENTS = json.dumps({"city": PHRASE})
LOGIN = "op:secret"
ECHO_STATUSES = (200, 400, 404, 429, 500)


class Planted:
    """Everything that may show the phrase.

    Args:
        port: on which the worker serves its metrics.
    """

    def __init__(self, stack: Stack, flower: FlowerProcess, caller: PlainCaller, echo: Echo, port: int) -> None:
        self.stack = stack
        self.flower = flower
        self.caller = caller
        self.echo = echo
        self.port = port
        self.registry = CollectorRegistry()
        self.ids: set[str] = set()

    @property
    def worker(self) -> Any:
        """The one worker."""
        return next(iter(self.stack.workers.values()))

    @property
    def browser(self) -> Browser:
        """An operator at Flower."""
        return self.flower.by(LOGIN)

    def client(self) -> Understudy:
        """A bot that measures itself."""
        return Understudy(self.stack.settings, metrics=ClientMetrics(self.registry))


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory, redis_flavour: Flavour) -> Iterator[Planted]:
    folder, port = tmp_path_factory.mktemp("planted"), free_port()
    with Echo() as echo:
        entry = {"name": "echo", "base_url": echo.base_url, "model": "echo", "paid": False}
        settings = {
            "UNDERSTUDY_PROVIDERS": json.dumps([entry]),
            "UNDERSTUDY_ORDER": "ollama,openai,echo",
            "UNDERSTUDY_LOG_LEVEL": "DEBUG",
            "UNDERSTUDY_TOOLS": "tests.support.sample_tools",
            "UNDERSTUDY_METRICS_PORT": str(port),
            "UNDERSTUDY_OPERATORS": "op",
        }
        with Stack(folder, redis_flavour, workers={"ollama,openai,echo": 8}, settings=settings) as stack:
            url = stack.redis.url()
            with (
                FlowerProcess(folder, stack.environment, f"--basic_auth={LOGIN}") as flower,
                PlainCaller(folder, url, url) as caller,
            ):
                yield Planted(stack, flower, caller, echo, port)


async def of_every_kind(planted: Planted, llm: Understudy, **options: Any) -> None:
    """One call of each kind, with the phrase; how it ends is no matter."""
    turn = [{"role": "user", "content": TEXT}]
    ends = await asyncio.gather(
        llm.moderate(TEXT, rules=f"Never say {PHRASE}.", **options),
        llm.name_thread(TEXT, **options),
        llm.agent_turn(turn, system=PHRASE, tools=["weather"], **options),
        return_exceptions=True,
    )
    for end in ends:
        assert isinstance(end, Outcome | CallError), end
        planted.ids.add(str(end.call_id))


async def answered(planted: Planted, llm: Understudy) -> None:
    """As they should be, with tools that are called with the phrase; streamed, and in a conversation."""
    ollama = planted.stack.ollama
    for fate in (
        Fate(tool_arguments=ARGUMENTS, tool_text=TEXT),
        Fate(tool_arguments=f'{{"city": "{PHRASE}'),
        Fate(tool_names=PHRASE),
    ):
        ollama.set_fate(fate)
        await of_every_kind(planted, llm)
    ollama.set_fate(Fate())
    chat = llm.conversation("planted", system=PHRASE)
    assert [event.type async for event in chat.say(TEXT, stream=True)][-1] == "done"


async def moved(planted: Planted, llm: Understudy) -> None:
    """The primary fails in many ways, and the fallback answers."""
    for fate in (
        Fate(status=500),
        Fate(answer="not_json"),
        Fate(cut_after=3),
        Fate(answer="refusal"),
        Fate(reset=True),
    ):
        planted.stack.ollama.set_fate(fate)
        await of_every_kind(planted, llm)
        await llm.clear_health("ollama")


async def failed(planted: Planted, llm: Understudy) -> None:
    """Nobody answers; a provider quotes the prompt in its errors and in what it says; a call is cancelled."""
    planted.stack.ollama.set_fate(Fate(status=500))
    await of_every_kind(planted, llm, spend="never", deadline_s=3)
    for status in ECHO_STATUSES:
        planted.echo.answers_with(status)
        await of_every_kind(planted, llm, only="echo", deadline_s=3)
        await llm.clear_health("echo")
    planted.stack.ollama.set_fate(Fate(silence=True))
    await llm.clear_health("ollama")
    call = await llm.submit("moderation", {"text": TEXT})
    await aeventually(lambda: planted.stack.running("ollama"))
    await call.cancel()
    planted.ids.add(call.id)


async def began(stack: Stack, times: int) -> None:
    """Wait until so many requests have reached the primary."""
    await aeventually(lambda: stack.counts("ollama")["total"] == times, limit_s=LIMIT_S)


async def quarantined(planted: Planted, llm: Understudy) -> None:
    """Three workers die with it; meanwhile a message waits in the broker, and its like is looked at."""
    worker, stack = planted.worker, planted.stack
    await llm.clear_health("ollama")
    await aeventually(lambda: stack.running("ollama") == 0)
    stack.ollama.set_fate(Fate(silence=True))
    stack.ollama.clear_counts()
    async with stack.look() as look:
        call = await llm.submit("moderation", {"text": TEXT}, deadline_s=150, spend="never", only="ollama")
        for life in (1, 2, 3):
            await began(stack, life)
            worker.kill()
            await look.lease_runs_out(call.id)
            if life == 3:
                other = await llm.submit("moderation", {"text": TEXT}, only="openai", deadline_s=60)
                await aeventually(lambda: messages(stack, "openai"))
                assert PHRASE not in "".join(messages(stack, "openai"))
                planted.ids.add(other.id)
            worker.start()
        with pytest.raises(Quarantined):
            await call.result(LIMIT_S)
        planted.ids.add(call.id)
        await other


def plain(planted: Planted) -> None:
    """A plain Celery caller's messages and results hold the phrase; nothing else does."""
    planted.stack.ollama.set_fate(Fate())
    calls = [
        planted.caller.send(request={"text": TEXT}),
        planted.caller.send("thread_naming", request={"first_message": f"{PHRASE} backup"}),
    ]
    calls += [planted.caller.send("no_such_task", TEXT, text=TEXT), planted.caller.send(request={PHRASE: TEXT})]
    calls += [planted.caller.send("agent_turn", request={"messages": [{"role": PHRASE, "content": TEXT}]})]
    for call in calls:
        with suppress(Exception):  # the last three are refused
            call.get(timeout=LIMIT_S)
        planted.ids.add(str(call.id))
    assert PHRASE in json.dumps(planted.caller.stored(str(calls[1].id)))


def messages(stack: Stack, queue: str) -> list[str]:
    """What waits in a queue of the broker, bodies decoded."""
    with stack.broker() as redis:
        rows: Any = redis.lrange(queue, 0, -1)
    return [f"{row}{base64.b64decode(json.loads(row)['body']).decode()}" for row in rows]


def pages(planted: Planted) -> dict[str, str]:
    """All that Flower shows."""
    browser = planted.browser
    name = next(iter(json.loads(browser.get("/api/workers?refresh=1").text)))
    paths = ["/", "/workers", "/tasks", "/broker", f"/worker/{name}", "/metrics", "/providers", API, "/api/tasks"]
    table = {"draw": 1, "start": 0, "length": 1000, "order[0][column]": 0, "order[0][dir]": "asc", "search[value]": ""}
    paths.append(f"/tasks/datatable?{urlencode({**table, 'columns[0][data]': 'name'})}")
    paths += ["/api/workers?refresh=1", "/api/task/types"]
    paths += [f"{API}/cause/{cause['reason']}" for cause in browser.overview()["causes"]]
    for call_id in planted.ids:
        paths += [f"/task/{call_id}", f"/api/task/info/{call_id}", f"{API}/call/{call_id}"]
        assert browser.get(f"/api/task/result/{call_id}").status == 404
    return {path: browser.get(path).text for path in paths}


async def test_the_phrase_is_found_nowhere(planted: Planted, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    stack = planted.stack
    with Eavesdropper(planted.caller.app) as heard:
        async with planted.client() as llm:
            await answered(planted, llm)
            await moved(planted, llm)
            await failed(planted, llm)
            plain(planted)
            measured = scrape(f"http://127.0.0.1:{planted.port}").text
            await quarantined(planted, llm)
        eventually(lambda: {"task-succeeded", "task-failed"} <= heard.types())
    shown = pages(planted)
    ways = {str(row["reason"]) for row in planted.browser.overview()["causes"]}
    assert {"deadline", "no_provider", "rejected", "quarantined"} & ways, ways
    assert sum(call_id in json.dumps(shown) for call_id in planted.ids) == len(planted.ids)
    shown |= {
        "events": json.dumps(heard.events),
        "worker's log": planted.worker.text(),
        "worker's metrics": measured + scrape(f"http://127.0.0.1:{planted.port}").text,
        "Flower's log": planted.flower.said(),
        "client's log": "\n".join(record.getMessage() + str(record.__dict__) for record in caplog.records),
        "client's metrics": generate_latest(planted.registry).decode(),
    }
    cli = CommandLine(
        stack.directory, stack.redis.url(), **{k: v for k, v in stack.environment.items() if k != "REDIS_URL"}
    )
    for words in ("calls --failed", "audit", "status", f"why {min(planted.ids)}", f"call {max(planted.ids)}"):
        shown[words] = (await cli.run(*words.split())).out
    lines = [f"{place}: {line[:300]}" for place, text in shown.items() for line in text.splitlines() if PHRASE in line]
    assert lines == []
    assert [place for place, text in shown.items() if not text] == []
