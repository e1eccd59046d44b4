"""Moving a call on: the ledger first, then the message, under the same id."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from understudy.contracts.call import Attempt, Reason, Status
from understudy.contracts.outcomes import failed_outcome
from understudy.moves import End, Move, Park, Stay, To, narrowed, next_move, policy_of
from understudy.state.record import DONE, FAILED, PARKED, Record
from workers import moved
from workers.ends import Dropped, Ended, Publish
from workers.ends import End as Ending

if TYPE_CHECKING:
    from understudy.contracts.call import AnyOutcome
    from understudy.routing import Policy
    from understudy.state.health import Snapshot
    from understudy.state.ledger import Reply
    from understudy.state.report import Report
    from workers.context import Context

STAY_MS = 1_000


class Redispatch:
    """Writes moves to the ledger and says what is to be published."""

    def __init__(self, context: Context) -> None:
        self._context = context

    async def after(
        self,
        call_id: str,
        *,
        epoch: int,
        turn: int,
        token: str,
        attempt: Attempt | None = None,
        report: Report | None = None,
        failed_at: str | None = None,
        end: Reason | None = None,
        detail: str = "",
    ) -> Ending:
        """Move a call on that its owner cannot finish.

        Args:
            epoch, turn: as they were when the owner began, or was denied.
            failed_at: the provider that counts as tried.
            end: the call fails with this reason, whatever else could be tried.
            detail: one sentence for a call that fails.
        """
        record = await self._context.ledger.record(call_id)
        fence: dict[str, Any] = {"epoch": epoch, "turn": turn, "token": token, "attempt": attempt, "report": report}
        if record is None or record.has_ended or (record.epoch, record.turn) != (epoch, turn):
            # the script refuses, or repeats its answer; report and permit count all the same
            reply = await self._context.ledger.hop(call_id, until_ms=STAY_MS, **fence)
            return await self._ending(reply, call_id)
        seen = await self._context.look()
        attempts = [*record.attempts, *([attempt] if attempt else [])]
        policy = narrowed(policy_of(record, self._context.providers), attempts, self._context.providers)
        move: Move = End(end) if end else self.move(record, seen, policy, failed_at=failed_at)
        if isinstance(move, Stay):  # only a queued call stays: this one waits for a worker
            move = Park(STAY_MS)
        reply = await self._hop(record, move, seen, policy, tried=failed_at, detail=detail, **fence)
        return await self._ending(reply, call_id)

    def move(self, record: Record, seen: Snapshot, policy: Policy, *, failed_at: str | None = None) -> Move:
        """Decide where a call goes; see `understudy.moves`."""
        return next_move(
            record,
            self._context.providers,
            seen,
            policy=policy,
            failed_at=failed_at,
            max_requests=self._context.settings.understudy_max_requests,
        )

    async def by_reconciler(self, record: Record, move: Move, seen: Snapshot, **more: Any) -> Reply:
        """Write a move that a reconciler decided, quoting the epoch and turn it read."""
        return await self._hop(
            record,
            move,
            seen,
            policy_of(record, self._context.providers),
            by="reconciler",
            epoch=record.epoch,
            turn=record.turn,
            **more,
        )

    async def _hop(
        self,
        record: Record,
        move: Move,
        seen: Snapshot,
        policy: Policy,
        *,
        attempt: Attempt | None = None,
        detail: str = "",
        **fence: Any,
    ) -> Reply:
        given: dict[str, Any] = {"attempt": attempt, **fence}
        outcome: AnyOutcome | None = None
        if isinstance(move, To):
            provider = self._context.by_name[move.provider]
            given |= {"to": provider.name, "queue": policy.queue(provider)}
        elif isinstance(move, Park):
            given |= {"until_ms": move.for_ms, "new_round": bool(move.anew), "not_before": move.anew}
        elif isinstance(move, End):
            attempts = [*record.attempts, *([attempt] if attempt else [])]
            outcome = failed_outcome(
                call_id=record.id,
                kind=record.kind,
                request=record.request,
                reason=move.reason,
                attempts=attempts,
                queued_ms=max(0, (record.first or seen.now) - record.created),
                total_ms=max(0, seen.now - record.created),
                detail=detail or (f"the budget of the {record.short} has no room for it" if record.short else ""),
            )
            st = DONE if outcome.status is Status.DONE else FAILED
            given |= {"st": st, "reason": move.reason.value, "outcome": outcome.model_dump_json()}
        reply = await self._context.ledger.hop(record.id, **given)
        self._count(record, move, attempt, reply, outcome)
        if not (isinstance(move, Park) and record.state == PARKED and fence.get("by")):  # it waits on
            moved.tell(record, move, attempt, reply)
        return reply

    def _count(
        self, record: Record, move: Move, attempt: Attempt | None, reply: Reply, outcome: AnyOutcome | None
    ) -> None:
        metrics = self._context.metrics
        if reply.word not in ("publish", "parked", "ended"):
            return
        if attempt:
            metrics.attempted(record.kind, attempt)
        if reason := reply.text("reason"):
            metrics.ended_by_ledger(record.kind, reason)
        elif reply.word == "ended" and outcome:
            metrics.ended(outcome)
        elif isinstance(move, To) and record.provider not in ("", move.provider):
            why = attempt.what if attempt and attempt.what != "waited" else move.why
            metrics.moved(record.kind, record.provider, move.provider, why)

    async def _ending(self, reply: Reply, call_id: str) -> Ending:
        if reply.word == "publish":
            return publish_of(reply, call_id)
        if reply.word == "ended" and (record := await self._context.ledger.record(call_id)):
            return Ended(record.parsed_outcome(), record.plain, record.waiters)
        return Dropped(f"{reply.word} {reply.text('why')}".strip())


def tellings_of(reply: Reply, call_id: str) -> list[Publish]:
    """The messages that tell Celery of a call: its own task, and those that share it by its key."""
    own = [publish_of(reply, call_id)] if reply.number("own") else []
    tasks = reply.texts("tasks")
    return own + [
        replace(publish_of(reply, call_id), task_id=task, canvas=canvas)
        for task, canvas in zip(tasks[::2], tasks[1::2], strict=True)
    ]


def publish_of(reply: Reply, call_id: str) -> Publish:
    """What a script's `publish` asks for."""
    return Publish(
        reply.text("kind"),
        call_id,
        reply.text("queue"),
        reply.number("sent"),
        reply.text("canvas"),
        trace=reply.text("trace"),
    )
