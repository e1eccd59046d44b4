"""What a worker logs of its calls, as JSON: whose line it is, and never what was written, unless it is told to."""

from __future__ import annotations

import asyncio
import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from tests.support.plain_call import plain_call
from tests.support.polling import aeventually
from tests.support.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.stack import Stack

PHRASE = "velvet submarine over breakfast"
QUEUE = "ollama.batch"


@contextmanager
def worker(stack: Stack, name: str, **settings: str) -> Iterator[Worker]:
    """A worker of its own, on a queue that no other consumes."""
    one = Worker(stack.directory, name, QUEUE, 2, {**stack.environment, "UNDERSTUDY_LOG": "json", **settings})
    one.start()
    try:
        yield one
    finally:
        one.kill()


def ask(stack: Stack) -> str:
    """A plain caller's call, answered; its id."""
    call_id, outcome = plain_call(stack, PHRASE, QUEUE)
    assert outcome["provider"] == "ollama"
    return call_id


def lines(one: Worker, call_id: str) -> list[dict[str, Any]]:
    """What it logged of a call."""
    found = [json.loads(line) for line in one.text().splitlines() if line.startswith("{")]
    return [line for line in found if line.get("call") == call_id]


async def test_each_line_of_a_call_names_it_also_celerys_own_and_none_holds_what_was_written(stack: Stack) -> None:
    with worker(stack, "quiet") as quiet:
        call_id = await asyncio.to_thread(ask, stack)
        said = await aeventually(lambda: [line for line in lines(quiet, call_id) if "succeeded" in line["event"]])
        of_call = lines(quiet, call_id)
        # after the banner there is no line of Celery's that is not JSON
        celery = [line for line in quiet.text().splitlines() if "INFO/MainProcess" in line]
        assert celery == []
        assert PHRASE not in quiet.text()
    assert said[0]["logger"] == "celery.app.trace"
    assert {line["kind"] for line in of_call} == {"moderation"}
    assert not any("trace_id" in line for line in of_call)


async def test_prompts_are_logged_only_where_a_setting_says_so_and_the_worker_warns_of_it(stack: Stack) -> None:
    with worker(stack, "telling", UNDERSTUDY_LOG_PROMPTS="true") as telling:
        call_id = await asyncio.to_thread(ask, stack)
        of_call = {line["event"]: line for line in lines(telling, call_id)}
        warned = [line for line in telling.text().splitlines() if "UNDERSTUDY_LOG_PROMPTS is on" in line]
    assert PHRASE in json.dumps(of_call["prompt"]["messages"])
    assert "violation" in of_call["answer"]["text"]
    asked = of_call["prompt"]
    assert (asked["kind"], asked["provider"], asked["attempt"]) == ("moderation", "ollama", 1)
    assert json.loads(warned[0])["level"] == "warning"
