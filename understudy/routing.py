"""The choice of provider: pure functions over plain data.

The configured order is the preference: local and free first. A provider is chosen when it (a) was not tried for this
call, (b) is allowed by the call's policy, (c) has a live worker on its queue, (d) has a breaker that admits or might,
and (e) can answer in the time left.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from understudy.contracts.call import Spend
from understudy.state.health import CLOSED, HALF_OPEN, OPEN, Breaker, Snapshot

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from understudy.providers import Provider

KEEP_BACK_SHARE = 0.25
"""Of the time left, at least, is kept back for the next provider."""

PROBE_MS = 2_000
"""The prober tries a free provider this often, so its open breaker may admit again long before its cooldown ends."""

UNKNOWN_MS = 1_000
"""How long an answer is taken to last where nothing is known yet."""

HOPELESS = frozenset({"auth", "model_missing", "quota"})
"""Reasons of an open breaker that waiting does not mend."""


@dataclass(frozen=True)
class Policy:
    """What one call allows.

    Args:
        kind: durations are judged by kind.
        total_ms: from opening to the deadline.
        prompt_tokens: an estimate; 0 where any window is large enough.
        larger_than: a context window that was too small, after a failure that said so.
        free_only: after a paid provider said that its quota is used up, or a budget denied it.
        toolless: providers that refused tools, whatever their settings say.
        only: the name of the one provider that may answer.
    """

    kind: str
    spend: Spend = Spend.ALLOW
    local_only: bool = False
    batch: bool = False
    total_ms: int = 0
    needs_tools: bool = False
    prompt_tokens: int = 0
    larger_than: int = 0
    free_only: bool = False
    toolless: frozenset[str] = frozenset()
    only: str | None = None

    def allows(self, provider: Provider) -> bool:
        """Whether the provider may answer this call at all."""
        if provider.paid and (self.spend is Spend.NEVER or self.free_only):
            return False
        if self.local_only and not provider.local:
            return False
        if self.only is not None and provider.name != self.only:
            return False
        if self.needs_tools and (not provider.tools or provider.name in self.toolless):
            return False
        return provider.context_window > max(self.prompt_tokens, self.larger_than)

    @property
    def pays_at_once(self) -> bool:
        """Whether it may go to a paid provider as soon as no free one can take it."""
        return self.spend is Spend.ALLOW

    @property
    def timed_as(self) -> str:
        """Under which name the durations of its answers are kept."""
        return timed_as(self.kind, batch=self.batch)

    def queue(self, provider: Provider) -> str:
        """The queue that this call takes at a provider."""
        return provider.batch_queue if self.batch else provider.queue


def timed_as(kind: str, *, batch: bool) -> str:
    """Under which name durations of answers are kept: those of batch rows tell nothing of how live calls fare."""
    return f"{kind}.batch" if batch else kind


@dataclass(frozen=True)
class Choice:
    """A provider, or none and the time before which asking again is of no use.

    Args:
        provider: its name; None where nobody can take the call now.
        why: of the choice, or of there being none: `no_provider` (none allowed or left), `no_workers`, `not_now`.
        earliest_ms: Redis milliseconds; only with `not_now`.
        passed_over: providers that come earlier in the order, and why each was not chosen.
    """

    provider: str | None
    why: str
    earliest_ms: int | None = None
    passed_over: Mapping[str, str] = field(default_factory=dict)


def choose(
    providers: Sequence[Provider],
    seen: Snapshot,
    policy: Policy,
    *,
    deadline_ms: int,
    tried: Collection[str] = (),
    not_before: Mapping[str, int] | None = None,
    queued_at: str | None = None,
) -> Choice:
    """Choose the provider that a call goes to next.

    Args:
        providers: in configured order.
        seen: health and controls, read at one moment.
        deadline_ms: of the call, Redis milliseconds.
        tried: providers that this call does not ask again in this round.
        not_before: by provider, when the ledger said it is not to be asked again.
        queued_at: the provider whose queue already holds the call: it does not wait behind itself.
    """
    left_ms = deadline_ms - seen.now
    passed: dict[str, str] = {}
    later: list[int] = []
    late: list[tuple[int, str]] = []
    candidates: list[Provider] = []
    busy = False  # a free provider that is well will take this batch row, if not yet
    for provider in ordered(providers, seen):
        name = provider.name
        if excluded := _excluded(provider, seen, policy, tried):
            passed[name] = excluded
        else:
            when = max(_admits_at(provider, seen, policy, queued_at), (not_before or {}).get(name, 0))
            if when > seen.now:
                passed[name] = _closed_why(provider, seen, policy)
                later.append(when)
                busy |= policy.batch and not provider.paid and seen.breaker(name).state != OPEN
            elif busy and provider.paid:
                passed[name] = "deferred"
            elif _defers(provider, seen, policy, left_ms):
                passed[name] = "deferred"
                later.append(_pay_at(provider, seen, policy, deadline_ms))
            else:
                candidates.append(provider)
    for i, provider in enumerate(candidates):
        needed = _needed_ms(provider, seen, policy, queued_at)
        kept = max((_kept_back_ms(p, seen, policy, left_ms) for p in candidates[i + 1 : i + 2]), default=0)
        if policy.batch or needed <= left_ms - kept:
            return Choice(provider.name, "first" if not passed else "next", None, passed)
        passed[provider.name] = "too_slow"
        late.append((needed, provider.name))
    if late:  # nobody is likely to be in time: the fastest is still better than nothing
        return Choice(min(late)[1], "fastest", None, passed)
    if later:
        return Choice(None, "not_now", min(later), passed)
    return Choice(None, "no_workers" if "no_workers" in passed.values() else "no_provider", None, passed)


def opening(providers: Sequence[Provider], seen: Snapshot, policy: Policy, *, deadline_ms: int) -> str | None:
    """The provider at which a new call is opened: the choice, else the first allowed; None where policy allows none."""
    choice = choose(providers, seen, policy, deadline_ms=deadline_ms)
    if choice.provider:
        return choice.provider
    allowed = [p for p in ordered(providers, seen) if policy.allows(p)]
    left_ms = deadline_ms - seen.now
    live = [p for p in allowed if seen.queue(policy.queue(p)).concurrency and not _defers(p, seen, policy, left_ms)]
    return next((p.name for p in live or allowed), None)


def kept_back_ms(
    providers: Sequence[Provider],
    seen: Snapshot,
    policy: Policy,
    *,
    left_ms: int,
    current: str,
    tried: Collection[str] = (),
) -> int:
    """The time to leave for the next provider should the current one fail; 0 where there is none."""
    rest = [*tried, current]
    if policy.spend is Spend.DEFER:  # near the deadline, which is what time is kept for, it pays
        policy = replace(policy, spend=Spend.ALLOW)
    choice = choose(providers, seen, policy, deadline_ms=seen.now + left_ms, tried=rest)
    following = next((p for p in providers if p.name == choice.provider), None)
    return _kept_back_ms(following, seen, policy, left_ms) if following else 0


def pays_at(providers: Sequence[Provider], seen: Snapshot, policy: Policy, *, deadline_ms: int) -> int | None:
    """When a call that defers may first go to a paid provider, in Redis milliseconds; None where it never may."""
    paid = [p for p in providers if p.paid and policy.allows(p)]
    return min((_pay_at(p, seen, policy, deadline_ms) for p in paid), default=None)


def _excluded(provider: Provider, seen: Snapshot, policy: Policy, tried: Collection[str]) -> str | None:
    """Why the provider does not come into question, now or later; None where it does."""
    if not policy.allows(provider):
        return "policy"
    if provider.name in tried:
        return "tried"
    return None if seen.queue(policy.queue(provider)).concurrency else "no_workers"


def ordered(providers: Sequence[Provider], seen: Snapshot) -> list[Provider]:
    """Forced first, then the primary, then the fallback that is known to work, then the rest."""
    first = seen.forced.provider if seen.forced else None

    def rank(item: tuple[int, Provider]) -> tuple[bool, bool, bool, int]:
        i, provider = item
        return (provider.name != first, i > 0, provider.name != seen.preferred, i)

    return [provider for _, provider in sorted(enumerate(providers), key=rank)]


def _admits_at(provider: Provider, seen: Snapshot, policy: Policy, queued_at: str | None) -> int:
    """When the provider may be asked: now, or later."""
    breaker, queue = seen.breaker(provider.name), seen.queue(policy.queue(provider))
    when = seen.now + queue.paused_ms if queue.paused_ms else 0
    if breaker.state == OPEN:
        return max(when, _reopens_at(provider, breaker, seen.now))
    if breaker.state == HALF_OPEN and queue.depth - (provider.name == queued_at) >= breaker.permits_free:
        return max(when, seen.now + PROBE_MS // 2)  # those in front of it take what half-open lets through
    return when


def _reopens_at(provider: Provider, breaker: Breaker, now: int) -> int:
    """An open breaker admits at the end of its cooldown; a free provider's prober may end it earlier."""
    if provider.paid or breaker.why in HOPELESS:
        return breaker.until
    return min(breaker.until, max(now + PROBE_MS, breaker.floor))


def _closed_why(provider: Provider, seen: Snapshot, policy: Policy) -> str:
    if seen.queue(policy.queue(provider)).paused_ms:
        return "paused"
    state = seen.breaker(provider.name).state
    return "not_before" if state == CLOSED else f"breaker_{state}"


def _defers(provider: Provider, seen: Snapshot, policy: Policy, left_ms: int) -> bool:
    """`defer` pays only near the deadline."""
    return policy.spend is Spend.DEFER and provider.paid and left_ms > _pay_ms(provider, seen, policy)


def _pay_at(provider: Provider, seen: Snapshot, policy: Policy, deadline_ms: int) -> int:
    return deadline_ms - _pay_ms(provider, seen, policy)


def _pay_ms(provider: Provider, seen: Snapshot, policy: Policy) -> int:
    """Near the deadline: a quarter of the call's time, or twice what the provider takes, if longer."""
    return int(max(policy.total_ms * KEEP_BACK_SHARE, 2 * _answer_ms(provider, seen, policy)))


def _answer_ms(provider: Provider, seen: Snapshot, policy: Policy) -> int:
    known = seen.breaker(provider.name).typical_ms(policy.timed_as)
    return known if known is not None else min(UNKNOWN_MS, int(provider.timeout_s * 1000))


def _needed_ms(provider: Provider, seen: Snapshot, policy: Policy, queued_at: str | None) -> int:
    """The wait behind the backlog, and the answer."""
    queue = seen.queue(policy.queue(provider))
    ahead = max(0, queue.depth - (provider.name == queued_at))
    answer = _answer_ms(provider, seen, policy)
    return ahead * answer // max(1, queue.concurrency) + answer


def _kept_back_ms(provider: Provider, seen: Snapshot, policy: Policy, left_ms: int) -> int:
    """The next provider's recent p95, at least a quarter of what is left; never more than half of it."""
    p95 = seen.breaker(provider.name).p95_ms(policy.timed_as) or 0
    return int(min(max(p95, left_ms * KEEP_BACK_SHARE), left_ms / 2))
