"""What the page of providers may be told: documents as its server makes them, for states hard to bring about."""

from __future__ import annotations

import itertools
import time
from typing import Any

MINUTE_MS = 60_000
LONG = "an-extraordinarily-long-provider-name-without-any-place-to-break-it-0123456789"
BEFORE_MS = 1_795_000_000_000
CALL = "0199b0c4-7a51-7d0e-9a8e-3f6f5c1f2b77"


def now_ms() -> int:
    """Stands in for the clock of Redis."""
    return round(time.time() * 1000)


def queue(name: str, **changes: Any) -> dict[str, Any]:
    """A queue with a worker and nothing in it."""
    idle = {
        "depth": 0,
        "oldest_ms": 0,
        "concurrency": 16,
        "workers": 1,
        "paused_ms": 0,
        "paused_why": "",
        "drain_ms": 0,
    }
    return {"name": name, **idle, **changes}


def provider(name: str, *, queues: list[dict[str, Any]] | None = None, **changes: Any) -> dict[str, Any]:
    """A provider whose breaker is closed and which was never asked."""
    return {
        "name": name,
        "model": "llama3.2",
        "paid": False,
        "local": True,
        "breaker": "closed",
        "since_ms": None,
        "why": "",
        "next_try_ms": None,
        "preferred": False,
        "forced": None,
        "share": None,
        "answered": 0,
        "failed": 0,
        "success": None,
        "p50_ms": None,
        "p95_ms": None,
        "first_token_p50_ms": None,
        "first_token_p95_ms": None,
        "series": minutes([0] * 15),
        "queues": queues if queues is not None else [queue(name), queue(f"{name}.batch")],
        **changes,
    }


def minutes(answered: list[int], failed: list[int] | None = None) -> list[dict[str, Any]]:
    """The last minutes, oldest first."""
    start = now_ms() // MINUTE_MS * MINUTE_MS - (len(answered) - 1) * MINUTE_MS
    return [
        {
            "at_ms": start + index * MINUTE_MS,
            "answered": good,
            "failed": bad,
            "p50_ms": 380 + 23 * ((index * 7) % 11) if good else None,
        }
        for index, (good, bad) in enumerate(itertools.zip_longest(answered, failed or [], fillvalue=0))
    ]


def overview(*providers: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """The whole document; two idle providers unless others are given."""
    empty = {
        "money": {"day_microusd": 0, "month_microusd": 0, "budgets": []},
        "fallbacks": [],
        "causes": [],
        "jobs": [],
        "audit": [],
    }
    both = providers or (provider("ollama"), provider("openai", paid=True, local=False, model="gpt-stand-in"))
    return {"providers": list(both), **empty, **changes}


def busy_provider(name: str = "ollama", **changes: Any) -> dict[str, Any]:
    """One that has answered for a quarter of an hour."""
    good = [21, 24, 19, 33, 41, 38, 29, 30, 27, 35, 44, 40, 31, 22, 12]
    bad = [0, 0, 1, 0, 0, 3, 5, 2, 0, 0, 0, 1, 0, 0, 2]
    figures = {
        "share": 0.872,
        "answered": sum(good),
        "failed": sum(bad),
        "success": sum(good) / (sum(good) + sum(bad)),
        "p50_ms": 421,
        "p95_ms": 1_730,
        "first_token_p50_ms": 96,
        "first_token_p95_ms": 402,
        "series": minutes(good, bad),
        "since_ms": now_ms() - 4_520_000,
        "queues": [
            queue(name, depth=37, oldest_ms=2_400, drain_ms=980),
            queue(f"{name}.batch", depth=1_204, workers=0),
        ],
    }
    return provider(name, **{**figures, **changes})


def busy() -> dict[str, Any]:
    """A day with troubles: everything that the page can show is there."""
    now = now_ms()
    causes = [("deadline", "its time ran out", 480), ("quarantined", "its worker died three times", 2)]
    causes += [
        ("no_provider", "every provider that was allowed to answer failed", 61),
        ("budget", "its budget is used up", 7),
    ]
    moves = [("refused", "connection refused"), ("slow", "too slow"), ("rate_limited", "rate limited")]
    return overview(
        busy_provider(
            breaker="open",
            since_ms=now - 83_000,
            why="connection refused",
            next_try_ms=now + 47_000,
        ),
        busy_provider(
            "openai",
            model="gpt-stand-in",
            paid=True,
            local=False,
            preferred=True,
            share=0.128,
            forced={"who": "ann", "why": "the graphics card is being replaced", "left_ms": 1_290_000},
        ),
        busy_provider(
            "spare",
            breaker="half_open",
            since_ms=now - 12_000,
            why="no first byte in time",
            share=0.0,
            queues=[queue("spare", paused_ms=540_000, paused_why="upgrade of its driver", depth=3, oldest_ms=61_000)],
        ),
        money={
            "day_microusd": 4_213_880,
            "month_microusd": 61_004_150,
            "budgets": [
                {"name": "day", "used_microusd": 4_213_880, "limit_microusd": 5_000_000},
                {"name": "month", "used_microusd": 61_004_150, "limit_microusd": 200_000_000},
                {"name": "kind agent_turn", "used_microusd": 2_050_000, "limit_microusd": 2_000_000},
            ],
        },
        fallbacks=[
            {
                "at_ms": now - 1_000 - index * 7_300,
                "call": f"{CALL[:-2]}{index:02d}",
                "kind": ("moderation", "agent_turn")[index % 2],
                "from": "ollama",
                "to": "openai",
                "why": moves[index % 3][1],
            }
            for index in range(24)
        ],
        causes=[
            {"reason": reason, "words": words, "calls": calls, "latest_ms": now - 61_000 * (index + 1)}
            for index, (reason, words, calls) in enumerate(causes)
        ],
        jobs=[
            job("j1", "spam in October", "running", 41_250, 120_000, 1_204_000),
            job("j2", "", "paused", 12, None, 0),
            job("j3", LONG, "done", 500, 500, 98_000),
        ],
        audit=[
            {
                "at_ms": now - 510_000,
                "who": "ann",
                "what": "force openai 30m",
                "why": "the graphics card is being replaced",
            },
            {"at_ms": now - 60_000, "who": "local", "what": "pause spare 10m", "why": "upgrade of its driver"},
            {
                "at_ms": now - 172_800_000,
                "who": "ben@example.org",
                "what": "retry cause deadline (12 calls)",
                "why": "bad day",
            },
        ],
    )


def job(job_id: str, name: str, state: str, done: int, total: int | None, spent: int) -> dict[str, Any]:
    """A job's row."""
    numbers = {"done": done, "total": total, "window": 32, "spend_microusd": spent}
    return {"id": job_id, "name": name, "owner": "ann", "state": state, **numbers}


def cause(reason: str = "deadline", *, shown: int = 12, total: int = 480) -> dict[str, Any]:
    """The calls of a cause."""
    calls = [
        {
            "id": f"{CALL[:-2]}{index:02d}",
            "kind": "moderation",
            "ended_ms": now_ms() - 61_000 - index * 4_700,
            "provider": "ollama" if index % 3 else "",
            "attempts": index % 4,
            "cost_microusd": 120 * (index % 2),
        }
        for index in range(shown)
    ]
    words = {"deadline": "its time ran out"}.get(reason, reason)
    return {
        "reason": reason,
        "words": words,
        "calls": calls,
        "worst_microusd": 1_234_500,
        "total": total,
        "before_ms": BEFORE_MS,
    }


def call(call_id: str = CALL, **changes: Any) -> dict[str, Any]:
    """A call that failed after two attempts."""
    now = now_ms()
    failed = {
        "id": call_id,
        "kind": "moderation",
        "state": "failed",
        "reason": "deadline",
        "reason_words": "its time ran out",
        "provider": "openai",
        "queue": "openai",
        "created_ms": now - 91_000,
        "deadline_ms": now - 61_000,
        "ended_ms": now - 61_000,
        "cost_microusd": 240,
        "worst_microusd": 2_570,
        "waits": ["It failed: its time ran out."],
        "bars": [
            bar("waits for ollama", "queued", 0, 2_100),
            bar("asks ollama", "no_first_byte", 2_100, 12_300, "no first byte in time"),
            bar("waits for openai", "queued", 12_300, 12_420),
            bar("asks openai", "rate_limited", 12_420, 12_900, "rate limited (429)"),
            bar("waits", "parked", 12_900, 30_000),
            bar("failed", "failed", 30_000, 30_000, "its time ran out"),
        ],
    }
    return {**failed, **changes}


def bar(label: str, what: str, start: int, end: int, detail: str = "") -> dict[str, Any]:
    """One bar of a waterfall."""
    return {"label": label, "what": what, "provider": "", "start_ms": start, "end_ms": end, "detail": detail}
