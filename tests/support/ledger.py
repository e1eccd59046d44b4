"""Drives the ledger's scripts by hand, in any order, with a clock that a test moves."""

from __future__ import annotations

import json
from itertools import count
from typing import TYPE_CHECKING, Any

from understudy.contracts.call import Attempt
from understudy.redis_client import now_ms
from understudy.state.keys import Keys
from understudy.state.ledger import Adoption, Due, Ledger, NewCall, Reply
from understudy.state.report import Report

if TYPE_CHECKING:
    from redis.asyncio import Redis

OUTCOME = '{"call_id":"%s","kind":"moderation","status":"done","result":{"n":%d}}'
_tokens = count(1)


class Drive:
    """Workers, clients and reconcilers of one test, played by hand."""

    def __init__(self, redis: Redis, prefix: str = "t:") -> None:
        self.shift = 0
        self.redis = redis
        self.keys = Keys(prefix)
        self.ledger = Ledger(redis, self.keys, shift_ms=lambda: self.shift)

    QUEUES = ("ollama", "openai")

    async def ticking(self) -> Drive:
        """Let a first tick have been, so that there is no quiet period."""
        await self.ledger.due("first", self.QUEUES)
        return self

    async def now(self) -> int:
        """The scripts' time."""
        return await now_ms(self.redis) + self.shift

    async def later(self, ms: int) -> list[tuple[str, str]]:
        """Let time pass, with its ticks; what is due then: (call, why)."""
        self.shift += ms
        word, rows = await self.due_again()
        assert word == "rows"
        return [(row.id, row.why) for row in rows]

    async def due_again(self) -> tuple[str, list[Due]]:
        """One tick, the one before it just over."""
        await self.redis.delete(self.keys.tick() + ":lock")
        await self.redis.hset(self.keys.tick(), "last", str(await self.now() - 1))
        return await self.ledger.due("first", self.QUEUES)

    def token(self) -> str:
        """A new execution's token."""
        return f"token-{next(_tokens)}"

    async def open(self, call_id: str = "c1", **more: Any) -> Reply:
        """A client opens a call at `ollama`."""
        given: dict[str, Any] = {
            "kind": "moderation",
            "request": '{"text":"hi"}',
            "rhash": "h",
            "opts": "{}",
            "provider": "ollama",
            "queue": "ollama",
            "token": self.token(),
            "inbox": "box",
            "deadline_ms": 30_000,
        } | more
        return await self.ledger.open(NewCall(id=call_id, **given))

    async def begin(self, call_id: str = "c1", provider: str = "ollama", sent: int = 0, **more: Any) -> Reply:
        """A worker takes a message and begins."""
        given = {"token": self.token(), "worker": "w1", "queue": provider, "model": "m"} | more
        return await self.ledger.begin(call_id, provider=provider, sent=sent, **given)

    def adoption(self, **more: Any) -> Adoption:
        """What a plain caller's message brings."""
        given: dict[str, Any] = {
            "kind": "moderation",
            "request": '{"text":"hi"}',
            "rhash": "h",
            "opts": "{}",
            "deadline_ms": 30_000,
            "canvas": '{"ignore_result":false}',
        } | more
        return Adoption(**given)

    def report(self, run: Reply, verdict: str = "ok", provider: str = "ollama", **more: Any) -> Report:
        """What the request of a begun attempt told."""
        return Report(
            provider,
            "m",
            run.text("rid"),
            run.number("gen"),
            verdict,
            "moderation",
            **({"ms": 100, "jitter": 1.0} | more),
        )

    async def finish(self, run: Reply, call_id: str = "c1", n: int = 1, **more: Any) -> Reply:
        """The holder of `run` has an answer."""
        token = more.pop("token", f"finish-{run.number('epoch')}")
        given = {"st": "D", "outcome": OUTCOME % (call_id, n)} | more
        return await self.ledger.finish(call_id, epoch=run.number("epoch"), token=token, **given)

    async def fail_over(self, run: Reply, call_id: str = "c1", to: str = "openai", **more: Any) -> Reply:
        """The holder of `run` failed at its provider and moves the call on."""
        given: dict[str, Any] = {
            "attempt": Attempt(provider="ollama", what="refused"),
            "tried": "ollama",
            "to": to,
            "queue": to,
            "token": f"hop-{run.number('epoch')}",
        } | more
        return await self.ledger.hop(call_id, epoch=run.number("epoch"), turn=run.number("turn"), **given)

    async def events(self, inbox: str = "box") -> list[tuple[str, str, Any]]:
        """What the inbox holds: (call, type, data)."""
        rows: Any = await self.redis.xrange(self.keys.inbox(inbox))
        return [(f["id"], f["type"], f["data"] if f["data"] == "look" else json.loads(f["data"])) for _, f in rows]

    async def state(self, call_id: str = "c1") -> str:
        """The state's letter, or `-`."""
        return str(await self.redis.hget(self.keys.call(call_id), "st") or "-")

    async def breaker(self, provider: str = "ollama") -> dict[str, str]:
        """A breaker's hash."""
        known: Any = await self.redis.hgetall(self.keys.breaker(provider, "m"))
        return {"state": "closed", **known}
