"""The Lua scripts of the ledger: one file an operation, each run as one `EVALSHA`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from hashlib import sha1
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from redis.exceptions import NoScriptError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from redis.asyncio import Redis

    from understudy.state.keys import Keys

_LIBRARY = ("clock", "shown", "call", "money", "breaker", "job", "conversation")


@cache
def source(name: str) -> str:
    """The text of one operation's script, with the library it stands on."""
    scripts = files("understudy.state") / "scripts"
    parts = [(scripts / "lib" / f"{part}.lua").read_text("utf-8") for part in _LIBRARY]
    return "\n".join([*parts, (scripts / f"{name}.lua").read_text("utf-8")])


class Lua:
    """Runs the scripts against one Redis under one prefix.

    Args:
        redis: a client with ``decode_responses=True``.
        keys: the names of all keys.
        shift_ms: moves the scripts' clock; for tests, which cannot wait for a lease to run out.
        inbox_maxlen: entries of one inbox that the scripts keep; None for their default.
    """

    def __init__(
        self, redis: Redis, keys: Keys, shift_ms: Callable[[], int] | None = None, inbox_maxlen: int | None = None
    ) -> None:
        self.redis = redis
        self.keys = keys
        self._shift_ms = shift_ms
        self._inbox_maxlen = inbox_maxlen
        self._scripts: dict[str, Any] = {}

    async def __call__(self, name: str, **args: Any) -> Any:
        """Run one operation; arguments that are None are left out."""
        script = self._scripts.get(name)
        if script is None:
            script = self._scripts[name] = self.redis.register_script(source(name))
        return await script(keys=[self.keys.prefix], args=[self.encode(args)])

    async def many(self, name: str, each: Sequence[dict[str, Any]]) -> list[Any]:
        """Run one operation many times in one round trip; where a run failed, its error stands in its place."""
        text = source(name)
        sha = sha1(text.encode(), usedforsecurity=False).hexdigest()
        encoded = [self.encode(args) for args in each]
        rows = await self._round(sha, encoded)
        if any(isinstance(row, NoScriptError) for row in rows):
            await self.redis.script_load(text)
            rows = await self._round(sha, encoded)
        return rows

    async def _round(self, sha: str, encoded: list[str]) -> list[Any]:
        async with self.redis.pipeline(transaction=False) as pipe:
            for argument in encoded:
                # A script object would first ask, in a round trip of its own, whether the server knows it.
                pipe.evalsha(sha, 1, self.keys.prefix, argument)
            return list(await pipe.execute(raise_on_error=False))

    def encode(self, args: dict[str, Any]) -> str:
        """The one argument of a script."""
        given = {name: value for name, value in args.items() if value is not None}
        if self._shift_ms is not None:
            given["shift"] = self._shift_ms()
        if self._inbox_maxlen is not None:
            given["inbox_maxlen"] = self._inbox_maxlen
        return json.dumps(given, ensure_ascii=False, separators=(",", ":"))


@dataclass(frozen=True)
class Reply:
    """What a script answered: a word, and named values."""

    word: str
    values: Mapping[str, Any]

    def number(self, name: str) -> int:
        """A value as a whole number; 0 where there is none."""
        return int(float(self.values.get(name) or 0))

    def text(self, name: str) -> str:
        """A value as text; empty where there is none."""
        return str(self.values.get(name) or "")

    def texts(self, name: str) -> tuple[str, ...]:
        """A value as a list of texts; empty where there is none."""
        return tuple(str(each) for each in self.values.get(name) or ())

    @classmethod
    def of(cls, raw: list[Any]) -> Reply:
        """A script's reply, as the client hands it on."""
        return cls(str(raw[0]), dict(zip(raw[1::2], raw[2::2], strict=True)))
