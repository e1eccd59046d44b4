"""The users of `deploy/redis/users.acl` may do what each needs, seen on a real server, and nothing else."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import redis as redis_sync
from celery import Celery, chain, chord, group

from bot_client import CallError, Understudy
from tests.support.command_line import CommandLine
from tests.support.locked_redis import LockedRedis, users
from tests.support.plain_parts import Eavesdropper
from tests.support.polling import aeventually, eventually
from tests.support.stack import GOOD, Stack
from workers.stand_in import Fate

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from workers.local_redis import Flavour

LIMIT_S = 60
QUEUES = {"ollama,ollama.batch": 8, "openai,openai.batch": 8}
NAMES = ("worker", "bot", "celery_bot", "operator")
FORBIDDEN: tuple[tuple[str, ...], ...] = (
    ("FLUSHALL",),
    ("FLUSHDB",),
    ("KEYS", "*"),
    ("CONFIG", "GET", "requirepass"),
    ("ACL", "LIST"),
    ("EVAL", "return 1", "0"),
    ("CLIENT", "LIST"),
    ("MONITOR",),
    ("REPLICAOF", "NO", "ONE"),
    ("SHUTDOWN",),
    ("GET", "other:key"),
    ("LPUSH", "other-queue", "x"),
    ("PUBLISH", "other-channel", "x"),
)


class LockedStack(Stack):
    """A stack on such a server; its workers are its user `worker`."""

    redis: LockedRedis

    def __init__(self, directory: Path, flavour: Flavour) -> None:
        super().__init__(directory, flavour, workers=QUEUES, UNDERSTUDY_METRICS_PORT="0")
        self.redis = LockedRedis(directory / "redis", flavour)

    def bot(self) -> Understudy:
        """A client as its user `bot`."""
        return self.client(redis_url=self.redis.url_of("bot"))

    def plain(self, user: str = "celery_bot") -> Celery:
        """A plain Celery application."""
        url = self.redis.url_of(user)
        return Celery("bot", broker=url, backend=url)

    def command_line(self, folder: Path, user: str) -> CommandLine:
        """The command line as one of its users."""
        rest = {name: value for name, value in self.environment.items() if name != "REDIS_URL"}
        return CommandLine(folder, self.redis.url_of(user), **rest)


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory, redis_flavour: Flavour) -> Iterator[LockedStack]:
    with LockedStack(tmp_path_factory.mktemp("locked"), redis_flavour) as stack:
        yield stack


@pytest.fixture(autouse=True)
def nothing_is_refused(locked: LockedStack) -> Iterator[None]:
    """Whatever a test does, no user was refused what it tried."""
    with locked.redis.admin() as admin:
        admin.acl_log_reset()
    yield
    assert locked.redis.refused() == []


def signature(app: Celery, text: str, queue: str = "ollama") -> Any:
    return app.signature("moderation", kwargs={"request": {"text": text}}, queue=queue, immutable=True)


async def test_a_bots_calls_are_answered_streamed_moved_and_cancelled(locked: LockedStack) -> None:
    async with locked.bot() as llm:
        assert (await llm.moderate("hello")).provider == "ollama"
        assert (await llm.name_thread("How do I back up my photos?")).result.name
        chat = llm.conversation("chat-7")
        said = [event.type async for event in chat.say("One disk or two?", stream=True)]
        assert said[-1] == "done"
        assert len(await chat.history()) == 2
        await chat.clear()
        first, again = [await (await llm.submit("moderation", {"text": "hello"}, key="message-9")) for _ in range(2)]
        assert first == again
        locked.ollama.set_fate(Fate(status=500))
        assert (await llm.moderate("hello again", user_id=7)).provider == "openai"
        held = await llm.submit("moderation", {"text": "hold"}, spend="never")
        await held.cancel()
        locked.ollama.set_fate(GOOD)
        await llm.clear_health("ollama")
        assert (await llm.spend()).microusd > 0


async def test_a_batch_job_runs_as_the_bots_user(locked: LockedStack, tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text("".join(json.dumps({"id": str(n), "text": f"hello {n}"}) + "\n" for n in range(20)))
    cli = locked.command_line(tmp_path, "bot")
    ran = await cli.run("remoderate", str(rows), "--out", "verdicts.jsonl")
    assert ran.status == 0, ran.err
    assert len((tmp_path / "verdicts.jsonl").read_text().splitlines()) == 20


def test_a_plain_celery_callers_chain_group_and_chord_are_answered(locked: LockedStack) -> None:
    app = locked.plain()
    try:
        one = signature(app, "one")
        assert chain(one, signature(app, "two", "openai")).delay().get(timeout=LIMIT_S)["provider"] == "openai"
        assert len(group(one, one).delay().get(timeout=LIMIT_S)) == 2
        body = signature(app, "the body", "openai")
        assert chord([one, signature(app, "two")])(body).get(timeout=LIMIT_S)["provider"] == "openai"
        one.delay().revoke(terminate=True)
    finally:
        app.close()


async def test_an_operators_commands_work(locked: LockedStack, tmp_path: Path) -> None:
    locked.ollama.set_fate(Fate(status=500))
    async with locked.bot() as llm:
        done = (await llm.moderate("hello")).call_id
        with pytest.raises(CallError) as failed:
            await llm.moderate("hello", spend="never", deadline_s=4)
        kept = await llm.submit("moderation", {"text": "hold"}, spend="never")
        cli = locked.command_line(tmp_path, "operator")
        assert (await cli.run("cancel", kept.id)).status == 0
        locked.ollama.set_fate(GOOD)
        for words in (
            "status", "spend --by kind", "spend --check", "jobs --all", f"why {done}", f"call {done}", "calls",
            "calls --failed", "calls --waiting", "calls --cancelled", "force openai --why test",
            "unforce", "pause ollama --for 1m --why test", "resume ollama", "clear", "clear ollama",
            f"retry {failed.value.call_id} --yes", "audit",
        ):  # fmt: skip
            ran = await cli.run(*words.split())
            assert ran.status == 0, f"{words}: {ran.err}"
        assert (await (await llm.call(str(failed.value.call_id)))).provider == "ollama"
    checks = {row["name"]: row["ok"] for row in (await cli.run("doctor", "--json")).json["checks"]}
    assert checks["redis eviction"] is True


def test_flowers_user_hears_events_and_asks_workers(locked: LockedStack) -> None:
    app = locked.plain("operator")
    try:
        with Eavesdropper(app) as heard:
            bot = locked.plain()
            answered = signature(bot, "hello").delay()
            assert answered.get(timeout=LIMIT_S)["provider"] == "ollama"
            eventually(lambda: heard.showed("task-succeeded", answered.id))
            bot.close()
        assert len(app.control.inspect(timeout=5).active_queues()) == len(QUEUES)
    finally:
        app.close()


async def test_a_killed_workers_calls_are_taken_over_under_its_user(locked: LockedStack) -> None:
    worker = locked.workers["ollama-ollama.batch"]
    locked.ollama.set_fate(Fate(latency_ms=3_000))
    async with locked.bot() as llm:
        call = await llm.submit("moderation", {"text": "hello"}, only="ollama", deadline_s=120)
        await aeventually(lambda: locked.running("ollama") == 1)
        worker.kill()
        locked.ollama.set_fate(GOOD)
        worker.start()
        assert [attempt.what for attempt in (await call).attempts] == ["worker_lost", "answered"]


@pytest.mark.parametrize("user", NAMES)
def test_a_user_may_not_do_more(locked: LockedStack, user: str) -> None:
    with redis_sync.Redis.from_url(locked.redis.url_of(user)) as client:
        own = [("INFO",), ("SCAN", "0")] if user != "operator" else []
        own += [("BRPOP", "ollama", "1")] if "bot" in user else []
        own += [("HGETALL", "u:call:x"), ("EVALSHA", "0" * 40, "0")] if user == "celery_bot" else []
        for command in (*FORBIDDEN, *own):
            with pytest.raises(redis_sync.exceptions.NoPermissionError):
                client.execute_command(*command)
    with locked.redis.admin() as admin:
        admin.acl_log_reset()


def test_nobody_gets_in_without_a_name() -> None:
    assert users()["default"][0] == "off"
    assert set(users()) == {"default", *NAMES}
