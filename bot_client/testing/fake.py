"""A client in memory, with the interface of the real one: no Redis, no worker, no sleeping."""

from __future__ import annotations

import asyncio
import math
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self

from bot_client.call import Call, conflict, unknown
from bot_client.interface import Client
from bot_client.policy import check_note, known_provider, policy_of, require_provider
from bot_client.status import CallStatus, Forced, ProviderStatus
from bot_client.testing.bill import bill_of
from bot_client.testing.conversations import MemoryConversations
from bot_client.testing.entry import Entry, RecordedCall
from bot_client.testing.script import MODEL, Script
from bot_client.testing.telling import Telling
from bot_client.turn_taking import TurnTaking
from understudy.contracts.call import Status
from understudy.contracts.ids import call_id_for, new_call_id
from understudy.contracts.kind import request_hash
from understudy.errors import InvalidRequest, Unavailable
from understudy.providers import Provider
from understudy.state.conversation import Limits
from understudy.state.operations import MAX_S
from understudy.state.spend import span_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date, timedelta

    from pydantic import BaseModel

    from bot_client.call import End
    from understudy.contracts.call import CallOptions
    from understudy.contracts.kind import Kind
    from understudy.state.spend import By, SpendReport

_LIMITS = {"context_window": 128_000, "timeout_s": 30.0, "connect_s": 3.0, "first_byte_s": 30.0, "slow_s": 20.0}
PROVIDERS = (
    Provider("ollama", "http://fake/v1", MODEL, api_key=None, paid=False, local=True, **_LIMITS),  # type: ignore[arg-type]
    Provider("openai", "http://fake/v1", MODEL, api_key=None, paid=True, local=False, **_LIMITS),  # type: ignore[arg-type]
)
"""A free local one and a paid one, as in most installations."""


class FakeUnderstudy(Client, Script):
    """A client in memory. Its answers are scripted with the methods of `Script`; unscripted calls get a plain answer.

    Time is its own: awaiting a call that takes 10 s moves the clock by 10 s and returns at once.

    Args:
        providers: in the order of preference; a free local `ollama` and a paid `openai` without.
    """

    def __init__(self, providers: Sequence[Provider] = PROVIDERS) -> None:
        Script.__init__(self)
        self.calls: list[RecordedCall] = []
        """Every call that was opened, the first one first."""
        self._entries: dict[str, Entry] = {}
        self.unavailable = False
        """While it is True, everything fails as if Redis were away."""
        self.now_s = 0.0
        """The test's own time."""
        self._providers = tuple(providers)
        self._status_of = {p.name: ProviderStatus(p.name, p.model, p.paid, p.local, concurrency=1) for p in providers}
        self._closed = False
        self._limits = Limits()
        self._taking = TurnTaking(self, MemoryConversations(self._reach))

    def advance(self, seconds: float) -> None:
        """Move the clock on; calls that end by then have ended."""
        self.now_s += seconds
        for entry in self._entries.values():
            entry.settle(self.now_s)

    def release(self) -> None:
        """Let the calls that are held end."""
        for entry in self._entries.values():
            if entry.held:
                entry.plan, entry.due_s = replace(entry.plan, held=False), self.now_s
                entry.settle(self.now_s)

    def set_provider(self, name: str, **changes: Any) -> None:
        """Change what `provider_status` says of a provider, such as `breaker="open"`: then it is not asked first."""
        self._status_of[name] = replace(self._status_of[name], **changes)

    async def start(self) -> Self:
        """Begin, again after `aclose` too; not needed before the first call."""
        self._closed = False
        return self

    async def aclose(self) -> None:
        """End; open calls go on, and are found again by their ids after another `start`."""
        self._closed = True
        for entry in self._entries.values():
            entry.let_go(
                Unavailable(f"Call {entry.call.id} goes on, but this client was closed: get it again by its id.")
            )

    async def call(self, call_id: str) -> Call[Any]:
        """Get the handle of a call by its id; see `Client.call`."""
        return self._handle(self._find(call_id))

    async def cancel(self, call_id: str, *, everyone: bool = False) -> bool:  # noqa: ARG002 - there is no other client
        """Give a call up; see `Client.cancel`."""
        entry = self._find(call_id)
        if entry.call.outcome is None:
            entry.cancel()
        return entry.call.outcome is not None and entry.call.outcome.status is Status.CANCELLED

    async def provider_status(self) -> list[ProviderStatus]:
        """Read the health of every provider, in the order of preference."""
        self._reach()
        return [self._status_of[provider.name] for provider in self._providers]

    async def force_provider(self, name: str, *, why: str, who: str = "bot", for_s: float | None = None) -> None:
        """Put a provider first; see `Client.force_provider`."""
        self._reach()
        known_provider(self._providers, name, "force")
        check_note("why", why)
        check_note("who", who)
        seconds = 1800.0 if for_s is None else for_s
        if not 1 <= seconds <= MAX_S:
            raise InvalidRequest(f"force: for_s is {seconds:g}; 1 to {MAX_S} seconds are allowed.")
        await self.unforce()
        self.set_provider(name, forced=Forced(name, who, why, int(seconds * 1000)))

    async def unforce(self) -> bool:
        """Take the forced provider back; whether there was one."""
        self._reach()
        forced = [status.name for status in self._status_of.values() if status.forced]
        for name in forced:
            self.set_provider(name, forced=None)
        return bool(forced)

    async def clear_health(self, name: str | None = None) -> None:
        """Take a provider's health for good again, or everybody's; see `Client.clear_health`."""
        self._reach()
        chosen = self._providers if name is None else (known_provider(self._providers, name, "clear"),)
        for provider in chosen:
            self.set_provider(
                provider.name, breaker="closed", why="", retry_in_s=None, paused_s=0.0, paused_why="", preferred=False
            )

    async def spend(
        self, *, by: By = "day", since: date | timedelta | None = None, until: date | None = None
    ) -> SpendReport:
        """Read what this test's calls cost, as if all were made today; see `Client.spend`."""
        self._reach()
        today = datetime.now(UTC).date()
        span = span_of(by, since, until, today)
        return bill_of(self.calls, {p.name for p in self._providers if p.paid}, by=by, span=span, today=today)

    async def _turn(self) -> None:
        if self._closed:
            raise RuntimeError("Use the client within `async with`.")

    async def _open(self, kind: Kind, request: BaseModel, options: CallOptions) -> Call[Any]:
        require_provider(self._providers, policy_of(kind, options, request))
        self._reach()
        call_id = call_id_for(kind.name, options.key) if options.key else new_call_id()
        known = self._entries.get(call_id)
        if known:
            known.settle(self.now_s)
            if known.rhash != request_hash(kind.name, request):
                raise conflict(kind)
            if known.call.outcome is None or known.call.outcome.status is Status.DONE:
                return self._handle(known)
        call = RecordedCall(call_id, kind.name, request, options)
        self.calls.append(call)
        entry = Entry(call, kind, self.plan(kind.name), lambda: self._order(kind, options), self.now_s)
        self._entries[call_id] = entry
        if options.stream:
            entry.telling = Telling(
                entry.plan, entry.order(), MODEL, lambda: self._ended(call_id, entry.ended(), timeout_s=None)
            )
        return self._handle(entry)

    async def _ended(self, call_id: str, ended: asyncio.Future[End], timeout_s: float | None) -> End:
        await asyncio.sleep(0)  # as with the real one, other tasks get their turn
        entry = self._entries[call_id]
        if ended.done() or entry.ended() is not ended:
            return ended.result()
        left_s = math.inf if entry.held else max(0.0, min(entry.due_s, entry.deadline_s) - self.now_s)
        if timeout_s is not None and timeout_s < left_s:
            self.advance(max(0.0, timeout_s))
            if not ended.done():
                raise TimeoutError
        elif not entry.held:
            self.advance(left_s)
        return await asyncio.shield(ended)

    async def _status(self, call_id: str) -> CallStatus:
        entry = self._find(call_id)
        outcome, deadline = entry.call.outcome, int(entry.deadline_s * 1000)
        at = entry.order()[0]
        if outcome is None:
            return CallStatus(call_id, entry.kind.name, "running", at, deadline_ms=deadline)
        attempts, state = tuple(outcome.attempts), outcome.status.value
        return CallStatus(
            call_id, entry.kind.name, state, outcome.provider or at, attempts, outcome.reason or "", deadline
        )

    async def _give_up(self, call_id: str) -> None:
        entry = self._entries[call_id]
        entry.holders -= 1
        if entry.holders <= 0 and entry.call.outcome is None:
            entry.cancel()

    def _handle(self, entry: Entry) -> Call[Any]:
        entry.holders += 1
        return Call(self, entry.kind, entry.call.id, entry.ended(), entry.telling)

    def _find(self, call_id: str) -> Entry:
        self._reach()
        entry = self._entries.get(call_id)
        if entry is None:
            raise unknown(call_id)
        entry.settle(self.now_s)
        return entry

    def _reach(self) -> None:
        if self.unavailable:
            raise Unavailable("Redis cannot be reached (scripted); try it again.")

    def _order(self, kind: Kind, options: CallOptions) -> list[str]:
        """The providers that may answer a call: forced first, those whose breaker is open last."""
        policy = policy_of(kind, options)
        allowed = [self._status_of[provider.name] for provider in self._providers if policy.allows(provider)]
        return [s.name for s in sorted(allowed, key=lambda s: (s.forced is None, s.breaker == "open"))]
