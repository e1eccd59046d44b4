"""What operators do: each action is checked, carried out, and noted with who did it and why."""

from __future__ import annotations

import asyncio
import json
import math
from typing import TYPE_CHECKING
from uuid import uuid4

from understudy.contracts import KINDS
from understudy.errors import InvalidRequest, SettingsError, UnknownCall
from understudy.pricing import PACKAGE, priced, unpriced
from understudy.providers import queue_names
from understudy.state.audit import Audit, checked_entry
from understudy.state.ended import Ended
from understudy.state.health import SUFFIXES
from understudy.state.ledger import Ledger, Reply
from understudy.state.lua import Lua
from understudy.state.rerun_cost import rerun_cost

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from redis.asyncio import Redis

    from understudy.providers import Provider
    from understudy.settings import Settings
    from understudy.state.keys import Keys
    from understudy.state.record import Record

MAX_S = 86_400
"""A day: what is to last longer belongs in the settings."""

PAGE = 200
"""Calls that are run again in one round trip."""


class Operations:
    """The actions of operators.

    Each takes `who` acts and `why`, 1 to 200 characters, and notes them in the audit log in the same step as it acts.
    Every method raises ``redis.exceptions.RedisError`` where Redis cannot be reached, and bears being repeated.
    """

    def __init__(
        self,
        redis: Redis,
        keys: Keys,
        providers: Sequence[Provider],
        settings: Settings,
        shift_ms: Callable[[], int] | None = None,
    ) -> None:
        self.keys = keys
        self.providers = tuple(providers)
        self.settings = settings
        self.lua = Lua(redis, keys, shift_ms, settings.understudy_inbox_maxlen)
        self.ledger = Ledger(redis, keys, shift_ms, settings.understudy_inbox_maxlen)
        self.audit = Audit(redis, keys)
        self.ended = Ended(redis, keys, self.ledger)

    async def force(self, provider: str, *, who: str, why: str, for_s: float) -> None:
        """Put a provider first for a while, 1 second to a day.

        Raises:
            InvalidRequest: there is no such provider, or a limit is broken.
        """
        name, ms = self._provider(provider, "force").name, _ms(for_s, "force")
        entry = checked_entry("force", f"force {name} {_span(ms)}", who, why)
        value = json.dumps({"provider": name, "who": entry["who"], "why": entry["why"]}, ensure_ascii=False)
        await self._control(self.keys.forced(), entry, value=value, ms=ms)

    async def unforce(self, *, who: str, why: str) -> bool:
        """Take the forced provider back; whether there was one."""
        return await self._control(self.keys.forced(), checked_entry("unforce", "unforce", who, why))

    async def clear(self, provider: str | None, *, who: str, why: str) -> None:
        """Take a provider's health for good again, or everybody's: breaker closed, pauses and preference gone.

        Raises:
            InvalidRequest: there is no such provider, or a limit is broken.
        """
        chosen = self.providers if provider is None else (self._provider(provider, "clear"),)
        for each in chosen:
            entry = checked_entry("clear", f"clear {each.name}", who, why)
            queues = [each.name + suffix for suffix in SUFFIXES]
            await self.lua("clear", provider=each.name, model=each.model, queues=queues, audit=entry)

    async def pause(self, queue: str, *, who: str, why: str, for_s: float) -> None:
        """Let nothing begin on a queue for a while, 1 second to a day; what runs goes on.

        Raises:
            InvalidRequest: there is no such queue, or a limit is broken.
        """
        name, ms = self._queue(queue, "pause"), _ms(for_s, "pause")
        entry = checked_entry("pause", f"pause {name} {_span(ms)}", who, why)
        await self._control(self.keys.paused(name), entry, value=entry["why"], ms=ms)

    async def resume(self, queue: str, *, who: str, why: str) -> bool:
        """Take a queue's pause back, whoever set it; whether there was one."""
        name = self._queue(queue, "resume")
        return await self._control(self.keys.paused(name), checked_entry("resume", f"resume {name}", who, why))

    async def cancel(self, call_id: str, *, who: str, why: str) -> str:
        """End a call, whoever waits for it; returns its state's letter: `X`, or how it had ended before.

        Raises:
            UnknownCall: no call has this id.
        """
        entry = checked_entry("cancel", f"cancel {call_id}", who, why)
        letter = Reply.of(await self.lua("cancel", id=call_id, operator=True, audit=entry)).word
        if letter == "missing":
            raise UnknownCall("No call has this id, or its record has expired.")
        return letter

    async def worst_cost(self, ids: Sequence[str]) -> int:
        """What it could cost at most to run these calls again, in micro-dollars; budgets bound it all the same.

        Raises:
            SettingsError: the price of a paid provider is not known here.
        """
        paid = [provider for provider in self.providers if provider.paid]
        if not paid or not ids:
            return 0
        known = priced(paid, self.settings)
        if len(known) < len(paid) and not unpriced(paid, self.settings):
            raise SettingsError(f"What it could cost is not known here: install {PACKAGE}, or set UNDERSTUDY_PRICES.")
        total = 0
        for start in range(0, len(ids), PAGE):
            records = await self.ended.records(ids[start : start + PAGE])
            # In a thread: a page of long conversations takes a second, for which nobody else on this loop should wait.
            total += await asyncio.to_thread(_costs, records, known, self.settings)
        return total

    async def rerun(self, call_id: str, *, who: str, why: str) -> bool:
        """Run a call again that failed or was cancelled; False where it runs, is done, or its record has gone.

        It gets a new deadline and waits for a worker to send it. What it was charged stays charged. Refused also where
        Celery revoked its task, and has said so to whoever waits for it.
        """
        entry = checked_entry("retry", f"retry {call_id}", who, why)
        reply = await self.lua("rerun", id=call_id, audit=entry, **_run())
        return Reply.of(reply).word == "rerun"

    async def rerun_cause(
        self,
        reason: str,
        *,
        who: str,
        why: str,
        limit: int | None = None,
        before_ms: int | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> int:
        """Run the calls again that failed for a reason, the newest first; returns how many will.

        It is noted once, before the first of them.

        Args:
            limit: as many at most.
            before_ms: those alone that had ended by then, in Redis milliseconds: what an operator saw and confirmed.
            progress: is told how many were looked at, and of how many.
        """
        ids = (await self.ended.ids(reason, before_ms))[:limit]
        word = "call" if len(ids) == 1 else "calls"
        entry = checked_entry("retry", f"retry cause {reason} ({len(ids):,} {word})", who, why)
        if not ids:
            return 0
        await self.lua("audit", audit=entry)
        accepted = 0
        for start in range(0, len(ids), PAGE):
            page = ids[start : start + PAGE]
            rows = await self.lua.many("rerun", [{"id": call_id, **_run()} for call_id in page])
            for row in rows:
                if isinstance(row, Exception):
                    raise row
                accepted += Reply.of(row).word == "rerun"
            if progress is not None:
                progress(min(start + PAGE, len(ids)), len(ids))
        return accepted

    async def _control(self, key: str, entry: dict[str, str], **setting: str | int) -> bool:
        reply = await self.lua("control", key=key.removeprefix(self.keys.prefix), audit=entry, **setting)
        return Reply.of(reply).word != "none"

    def _provider(self, name: str, action: str) -> Provider:
        for provider in self.providers:
            if provider.name == name:
                return provider
        known = ", ".join(provider.name for provider in self.providers)
        raise InvalidRequest(f"{action}: there is no provider {str(name)[:40]!r}; the providers are {known}.")

    def _queue(self, name: str, action: str) -> str:
        known = queue_names(self.providers)
        if name not in known:
            raise InvalidRequest(f"{action}: there is no queue {str(name)[:40]!r}; the queues are {', '.join(known)}.")
        return name


def drain_ms(depth: int, concurrency: int, p50_ms: int | None) -> int | None:
    """How long a queue takes to empty if nothing more comes; None where nobody works on it, or no time is known."""
    if depth <= 0:
        return 0
    if concurrency <= 0 or p50_ms is None:
        return None
    return math.ceil(depth / concurrency) * p50_ms


def _costs(records: Sequence[Record | None], paid: Sequence[Provider], settings: Settings) -> int:
    return sum(rerun_cost(record, paid, settings) for record in records if record)


def _run() -> dict[str, object]:
    """What every new run brings: its token, and how long a call of each kind has at least."""
    lengths = {kind.name: round(kind.deadline_s * 1000) for kind in KINDS.values()}
    return {"token": uuid4().hex, "lengths": lengths}


def _ms(for_s: float, action: str) -> int:
    if not 1 <= for_s <= MAX_S:
        raise InvalidRequest(f"{action}: for_s is {for_s:g}; 1 to {MAX_S} seconds are allowed.")
    return int(for_s * 1000)


def _span(ms: int) -> str:
    """A time as operators give it: `90s`, `30m`, `2h`."""
    seconds = ms / 1000
    for unit, size in (("h", 3600), ("m", 60)):
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:g}{unit}"
    return f"{seconds:g}s"
