"""Every key in Redis: its name, its type and how long it lives."""

from __future__ import annotations

from dataclasses import dataclass

LEASE_MS = 10_000
"""How long a worker may work on a call without renewing; PROTOCOL "Recovery"."""

RENEW_S = 1.5
"""Renewals also bring cancellations, which are to arrive within 2 s."""

BEAT_S = 1.0
WORKER_TTL_MS = 5_000
"""A worker that missed five beats is gone: its queue's calls move on within 8 s, a tick of 2 s included."""

TICK_MS = 2_000
"""One reconciler tick, in whichever worker comes first."""

PROBER_LEASE_MS = 6_000

DAY_MS = 86_400_000

INBOX_MS = 3_600_000
"""How long an inbox outlives its last event."""

JOB_TTL_MS = 30 * DAY_MS
"""How long a batch job is shown after its last beat."""

MINUTE_MS = 60_000
STAT_MS = 20 * MINUTE_MS
"""How long a minute's counts of the providers are kept: what is shown is the last quarter of an hour."""

ENDED_MS = DAY_MS
"""How long a call that failed is listed by its cause; its record lives at least as long."""

FALLBACKS_MS = 7 * DAY_MS
AUDIT_MS = 400 * DAY_MS
"""How long what operators did is kept after their last action."""


@dataclass(frozen=True)
class Keys:
    """The names of all keys under one prefix, so that several installations may share a Redis."""

    prefix: str = "u:"

    def call(self, call_id: str) -> str:
        """Hash: one call, from opening to a day after its deadline."""
        return f"{self.prefix}call:{call_id}"

    def task(self, task_id: str) -> str:
        """String, as long as its call: the call of a plain caller's task that has a key."""
        return f"{self.prefix}task:{task_id}"

    def due(self) -> str:
        """Sorted set, call id → when the reconciler looks at it; a row goes when its call ends (plain: is told)."""
        return f"{self.prefix}due"

    def mark(self, queue: str) -> str:
        """String, 1 day: the latest dispatch time taken from the queue."""
        return f"{self.prefix}mark:{queue}"

    def unmarked(self, queue: str) -> str:
        """String, 1 day: when a message without a dispatch time was last taken from the queue."""
        return f"{self.prefix}unmarked:{queue}"

    def waiting(self, queue: str) -> str:
        """Sorted set, call id → since when it waits; a row goes when its call begins or moves."""
        return f"{self.prefix}waiting:{queue}"

    def inbox(self, client_id: str) -> str:
        """Stream, 1 h from its last event: what one client process is told."""
        return f"{self.prefix}inbox:{client_id}"

    def breaker(self, provider: str, model: str) -> str:
        """Hash, 1 day; with `:permits` a sorted set of request ids → when they run out, 1 h."""
        return f"{self.prefix}breaker:{provider}:{model}"

    def worker(self, worker_id: str) -> str:
        """Hash, 5 s: queues, concurrency, host, pid, version of one worker that consumes."""
        return f"{self.prefix}worker:{worker_id}"

    def workers(self) -> str:
        """Sorted set, worker id → its last beat; rows go when stale."""
        return f"{self.prefix}workers"

    def prober(self, provider: str, model: str) -> str:
        """String, 6 s: which worker probes the provider."""
        return f"{self.prefix}prober:{provider}:{model}"

    def tick(self) -> str:
        """Hash, 1 day: the last tick, until when it is quiet, which queues had workers; `:lock` is a string, 2 s."""
        return f"{self.prefix}tick"

    def forced(self) -> str:
        """String (JSON), its own duration: the operator's choice, with who and why."""
        return f"{self.prefix}forced"

    def preferred(self) -> str:
        """String (`fallback|primary`), at most 30 min: which fallback worked while the primary is out."""
        return f"{self.prefix}preferred"

    def paused(self, queue: str) -> str:
        """String, its own duration: why nothing begins on this queue."""
        return f"{self.prefix}paused:{queue}"

    def job(self, job_id: str) -> str:
        """Hash, 30 days from its last beat: one batch job, its runner's counts and what operators set."""
        return f"{self.prefix}job:{job_id}"

    def jobs(self) -> str:
        """Sorted set, job id → its last beat; rows go after 30 days."""
        return f"{self.prefix}jobs"

    def spend_day(self, day: str) -> str:
        """Hash, 35 days: what was charged on a day of UTC (`YYYYMMDD`), in micro-dollars, in all and by its parts."""
        return f"{self.prefix}spend:day:{day}"

    def spend_month(self, month: str) -> str:
        """Hash, 400 days: the same for a month (`YYYYMM`), without users and hours."""
        return f"{self.prefix}spend:month:{month}"

    def spend_job(self, job: str) -> str:
        """Hash, 35 days from its last charge: the same for a batch job."""
        return f"{self.prefix}spend:job:{job}"

    def conversation(self, conversation_id: str) -> str:
        """List (JSON), 7 days from its last turn unless set otherwise: what was said, one answered turn a row."""
        return f"{self.prefix}conversation:{conversation_id}"

    def turns(self, conversation_id: str) -> str:
        """List, 2 days: a conversation's turns that wait or run, oldest first; `turn:<id>`, a hash, has the rest."""
        return f"{self.prefix}turns:{conversation_id}"

    def turn(self, conversation_id: str) -> str:
        """Hash, 2 days: until when each of those turns keeps its place, and what the one that runs has said."""
        return f"{self.prefix}turn:{conversation_id}"

    def spend_late(self, call_id: str, rid: str) -> str:
        """String, 3 days: what a request cost whose record Redis had lost when it was settled."""
        return f"{self.prefix}spend:late:{call_id}:{rid}"

    def calls(self, bucket: int) -> str:
        """Hash, 2 h: answered calls of five minutes, all and paid."""
        return f"{self.prefix}calls:{bucket}"

    def alerts(self) -> str:
        """Stream, 7 days from its last entry: budgets used up to 50, 80 and 100 %, and too many paid calls.

        Strings: `alerts:said` is the latest one that a worker's log has; `alerts:given`, who got the last ones;
        `alerted:<hour>`, 2 h, that an hour has one.
        """
        return f"{self.prefix}alerts"

    def stat(self, minute: int) -> str:
        """Hash, 20 min: what each provider answered and failed in a minute, and how long it took, in buckets."""
        return f"{self.prefix}stat:{minute}"

    def fallbacks(self) -> str:
        """Stream, 7 days from its last entry: calls that moved from one provider to another."""
        return f"{self.prefix}fallbacks"

    def ended(self, reason: str) -> str:
        """Sorted set, 1 day, call id → when it failed for this reason; a row goes when the call runs again."""
        return f"{self.prefix}ended:{reason}"

    def causes(self) -> str:
        """Set, 1 day: the reasons for which calls failed."""
        return f"{self.prefix}ended"

    def audit(self) -> str:
        """Stream, 400 days from its last entry: what operators did, who and why."""
        return f"{self.prefix}audit"
