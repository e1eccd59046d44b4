"""What becomes of the calls of a test, in the order in which they come."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from pydantic import BaseModel

from understudy.contracts import KINDS
from understudy.contracts.agent_turn import AgentTurnResult
from understudy.contracts.call import AnyOutcome, Attempt, Reason, Status, Usage
from understudy.contracts.moderation import Action, ModerationResult
from understudy.contracts.thread_naming import degraded_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from understudy.contracts.kind import Kind

Answer: TypeAlias = BaseModel | Mapping[str, Any] | Callable[[Any], BaseModel | Mapping[str, Any]]
"""A result, as its model or as a mapping, or a function that makes it from the request."""

MODEL = "scripted"
USAGE = Usage(prompt_tokens=10, completion_tokens=5, total_tokens=15)
ATTEMPT_MS = 20


@dataclass(frozen=True)
class Plan:
    """What becomes of one call.

    Args:
        answer: None where it fails.
        reason: of a failure, one of `understudy.contracts.call.Reason`.
        failures: what happened at the providers that were asked first, as rows of the failure table (`refused`, …).
        delay_s: how long it takes, in seconds of the test's own time.
        held: it does not end before it is released or cancelled.
        degraded: the answer was made without a provider.
        cost_microusd: what its answer costs.
        said: what its first provider streams before it fails, or before the call is released.
    """

    answer: Answer | None = None
    reason: str = ""
    detail: str = ""
    failures: tuple[str, ...] = ()
    delay_s: float = 0.0
    held: bool = False
    degraded: bool = False
    cost_microusd: int = 0
    said: str = ""

    def outcome(self, call_id: str, kind: Kind, request: BaseModel, providers: Sequence[str]) -> AnyOutcome:
        """How the call ends.

        Args:
            providers: those that may answer it, the first one first.
        """
        attempts = [
            Attempt(provider=name, model=MODEL, what=what, ms=ATTEMPT_MS, requests=1)
            for name, what in zip(providers, self.failures, strict=False)
        ]
        spent_ms = int(self.delay_s * 1000) + ATTEMPT_MS * len(attempts)
        answers = self.answer is not None and (self.degraded or len(self.failures) < len(providers))
        if not answers:
            return AnyOutcome(
                call_id=call_id,
                kind=kind.name,
                status=Status.FAILED,
                reason=self.reason or Reason.NO_PROVIDER,
                detail=self.detail,
                attempts=attempts,
                total_ms=spent_ms,
            )
        result = kind.result.model_validate(_made(self.answer, request)).model_dump(mode="json")
        if self.degraded:
            return AnyOutcome(
                call_id=call_id,
                kind=kind.name,
                status=Status.DONE,
                result=result,
                attempts=attempts,
                total_ms=spent_ms,
                degraded=True,
            )
        provider = providers[len(self.failures)]
        attempts.append(Attempt(provider=provider, model=MODEL, what="answered", ms=ATTEMPT_MS, requests=1))
        return AnyOutcome(
            call_id=call_id,
            kind=kind.name,
            status=Status.DONE,
            result=result,
            provider=provider,
            model=MODEL,
            attempts=attempts,
            usage=USAGE,
            total_ms=spent_ms + ATTEMPT_MS,
            cost_microusd=self.cost_microusd,
        )


class Script:
    """The plans of a test: one each for the next calls of a kind, then the kind's standing answer."""

    def __init__(self) -> None:
        self._next: dict[str, deque[Plan]] = defaultdict(deque)
        self._always: dict[str, Plan] = {name: Plan(answer) for name, answer in _DEFAULTS.items()}

    def answer(self, kind: str, answer: Answer, *, delay_s: float = 0.0, always: bool = False) -> None:
        """The next call of a kind, or each one from now on, gets this answer.

        Args:
            delay_s: how long it takes; one longer than the call's deadline runs out of time.

        Raises:
            pydantic.ValidationError: the answer breaks the kind's contract.
        """
        if not callable(answer):
            KINDS[kind].result.model_validate(answer)
        self._plan(kind, Plan(answer, delay_s=delay_s), always=always)

    def fall_back(
        self,
        kind: str,
        answer: Answer,
        *,
        failure: str = "refused",
        said: str = "",
        cost_microusd: int = 0,
        always: bool = False,
    ) -> None:
        """The first provider fails, and the next one that the call allows gives this answer.

        Args:
            failure: a row of the failure table, such as `cut`.
            said: what the first one had streamed by then; the next one's answer begins anew.
            cost_microusd: what it costs; `spend` adds up the calls of paid providers.
        """
        self._plan(kind, Plan(answer, failures=(failure,), cost_microusd=cost_microusd, said=said), always=always)

    def degrade(self, kind: str, *, failure: str = "refused", always: bool = False) -> None:
        """All providers fail, and the call ends with its kind's degraded answer.

        Raises:
            ValueError: the kind has none.
        """
        degraded = KINDS[kind].degraded
        if degraded is None:
            raise ValueError(f"{kind} has no degraded answer")
        self._plan(kind, Plan(degraded, failures=(failure, failure), degraded=True), always=always)

    def fail(
        self,
        kind: str,
        reason: str = Reason.NO_PROVIDER,
        *,
        detail: str = "",
        failures: Sequence[str] = (),
        always: bool = False,
    ) -> None:
        """The call ends without an answer.

        Args:
            reason: one of `understudy.contracts.call.Reason`; it decides which error the caller sees.
            failures: what happened at each provider that was asked.
        """
        self._plan(kind, Plan(reason=Reason(reason), detail=detail, failures=tuple(failures)), always=always)

    def hold(self, kind: str, answer: Answer | None = None, *, said: str = "") -> None:
        """The next call of a kind does not end before it is released; it then gets the answer, or the standing one.

        Args:
            said: the beginning of the answer, which is streamed before.
        """
        self._plan(kind, Plan(answer or self._standing(kind).answer, held=True, said=said), always=False)

    def plan(self, kind: str) -> Plan:
        """Take what becomes of the next call of a kind."""
        return self._next[kind].popleft() if self._next[kind] else self._standing(kind)

    def _standing(self, kind: str) -> Plan:
        """What an unscripted call gets; of a kind that was added, its degraded answer, or none before one is given."""
        answer = KINDS[kind].degraded
        if kind not in self._always and answer is None:
            raise LookupError(f'{kind} has no standing answer: give one with answer("{kind}", ..., always=True)')
        return self._always.get(kind) or Plan(answer)

    def _plan(self, kind: str, plan: Plan, *, always: bool) -> None:
        if kind not in KINDS:
            raise ValueError(f"{kind} is no kind of call; there are {', '.join(KINDS)}")
        if always:
            self._always[kind] = plan
        else:
            self._next[kind].append(plan)


def _made(answer: Answer | None, request: BaseModel) -> Any:
    return answer(request) if callable(answer) else answer


_DEFAULTS: dict[str, Answer] = {
    "moderation": ModerationResult(
        helpful=True, violation=None, quality_score=7, action=Action.NONE, reason="Nothing is wrong with it."
    ),
    "thread_naming": degraded_name,
    "agent_turn": AgentTurnResult(text="This answer is scripted.", finish_reason="stop"),
}
