"""The log of what operators did: who, what and why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from understudy.errors import InvalidRequest
from understudy.state.lua import Lua

if TYPE_CHECKING:
    from redis.asyncio import Redis

    from understudy.state.keys import Keys

MAX_LISTED = 10_000
"""As many entries are kept, about."""

MAX_NOTE = 200
"""Characters of who and why."""


@dataclass(frozen=True)
class AuditEntry:
    """One action of an operator; `what` is a line such as `force ollama 30m`."""

    at_ms: int
    who: str
    what: str
    why: str


class Audit:
    """Writes and reads the log; actions that are a script of their own write it within that script."""

    def __init__(self, redis: Redis, keys: Keys) -> None:
        self.redis = redis
        self.keys = keys
        self.lua = Lua(redis, keys)

    async def write(self, *, who: str, what: str, why: str) -> None:
        """Note an action, once, however often the command is repeated."""
        await self.lua("audit", audit=audited(who=who, what=what, why=why))

    async def entries(self, limit: int = 100) -> list[AuditEntry]:
        """The latest actions, newest first."""
        rows: Any = await self.redis.xrevrange(self.keys.audit(), count=max(1, min(limit, MAX_LISTED)))
        return [AuditEntry(entry_ms(row), f.get("who", ""), f.get("what", ""), f.get("why", "")) for row, f in rows]


def audited(*, who: str, what: str, why: str) -> dict[str, str]:
    """An entry as the scripts take it; its token tells a repeat of a command from a second action."""
    return {"who": who, "what": what, "why": why, "token": uuid4().hex}


def note(action: str, field: str, text: object) -> str:
    """What an operator says of an action, as one line.

    Raises:
        InvalidRequest: it is empty, too long or no text.
    """
    line = " ".join(text.encode("utf-8", "replace").decode("utf-8").split()) if isinstance(text, str) else ""
    if not line:
        raise InvalidRequest(f"{action}: {field} must be text of 1 to {MAX_NOTE} characters.")
    if len(line) > MAX_NOTE:
        raise InvalidRequest(f"{action}: {field} has {len(line):,} characters; at most {MAX_NOTE} are allowed.")
    return line


def checked_entry(action: str, what: str, who: str, why: str) -> dict[str, str]:
    """An entry of what an operator does, its who and why checked as by `note`."""
    return audited(who=note(action, "who", who), what=what[: 2 * MAX_NOTE], why=note(action, "why", why))


def entry_ms(entry_id: str) -> int:
    """When a stream's entry was written, in Redis milliseconds."""
    return int(entry_id.partition("-")[0])
