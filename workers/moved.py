"""Telling that a call moved on: one line in the log and one event in its trace, which say why in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import structlog

from understudy import tracing
from understudy.moves import End, Move, Park, To
from understudy.state.record import PARKED
from understudy.words import STANDINGS, printable, standing, words

if TYPE_CHECKING:
    from understudy.contracts.call import Attempt
    from understudy.state.ledger import Reply
    from understudy.state.record import Record

log = structlog.get_logger("understudy.redispatch")


def is_fallback(record: Record, move: Move) -> bool:
    """Whether the call goes to another provider than before."""
    return isinstance(move, To) and record.provider not in ("", move.provider)


def reason_left(record: Record, attempt: Attempt | None) -> str:
    """Why a call leaves its provider, as the ledger calls it: a row of the failure table, `paused`, `no_workers`."""
    if attempt is not None:
        return (attempt.detail if attempt.what == "waited" else attempt.what) or attempt.what
    latest = record.attempts[-1] if record.attempts else None
    if latest is not None and latest.provider == record.provider:
        return latest.what
    return record.denied_why or "waited"


def why_left(record: Record, attempt: Attempt | None) -> str:
    """The same in words that an operator understands: `connection refused`, `no worker consumes its queue`."""
    reason = reason_left(record, attempt)
    if attempt is not None and attempt.what != "waited":
        said = words(reason)
        return f"{said} ({printable(attempt.detail)})" if attempt.detail and attempt.detail != said else said
    if reason in STANDINGS:
        return standing(reason)
    if reason == record.denied_why and reason != "budget":
        return f"its breaker is open: {words(reason)}"
    return words(reason)


def tell(record: Record, move: Move, attempt: Attempt | None, reply: Reply) -> None:
    """Tell of a move that the ledger has accepted."""
    if reply.word not in ("publish", "parked", "ended"):
        return
    said: dict[str, Any] = {"call": record.id, "kind": record.kind}
    if attempt:
        said |= {"provider": attempt.provider, "what": attempt.what, "detail": attempt.detail}
    if reply.word == "ended":
        reason = reply.text("reason") or (move.reason.value if isinstance(move, End) else "")
        log.warning("call ended without an answer", reason=reason, why=words(reason), **said)
        _trace(record, "ended", {"understudy.why": reason, "understudy.why.words": words(reason)})
    elif isinstance(move, To) and is_fallback(record, move):
        why = why_left(record, attempt)
        said |= {"provider": record.provider, "to": move.provider, "why": why}
        log.info("call falls back", **said)
        about = {"understudy.from": record.provider, "understudy.to": move.provider}
        about |= {"understudy.why": reason_left(record, attempt), "understudy.why.words": why}
        _trace(record, "fallback", about)
    elif isinstance(move, To):
        again = attempt.what if attempt else "unparked" if record.state == PARKED else "message lost"
        log.info("call is sent again", to=move.provider, why=words(again), **said)
        _trace(record, "sent again", {"understudy.to": move.provider, "understudy.why": again})
    elif isinstance(move, Park):
        log.info("call waits", for_ms=move.for_ms, new_round=bool(move.anew), **said)
        _trace(record, "waits", {"understudy.for_ms": move.for_ms})


def _trace(record: Record, name: str, about: dict[str, Any]) -> None:
    """An event of the attempt; of a reconciler's move, which belongs to none, a short span of its own."""
    if not tracing.is_on() or tracing.event(name, about):
        return
    with tracing.span(f"recover {record.kind}", parent=record.trace) as span:
        span.set({"understudy.call.id": record.id, "understudy.kind": record.kind})
        span.event(name, about)
