"""Many streamed agent turns at once through one worker process: are they whole, and what does the queue add?

The same streams run twice: asked directly over the worker's own transport, and through the queue. They begin evenly
spread over the length of one stream, and go on to begin in the same pace, so that a constant number runs at once; those
that begin while all the others run are measured. The difference of the two times to the first token is the queue's.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import time
from argparse import ArgumentParser
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import click

from benchmarks.one_worker import OneWorker
from bot_client import CallError, Understudy
from tasks.agent_turn import build
from understudy.contracts.agent_turn import KIND
from workers.chat import Chat
from workers.failures import ProviderFailure
from workers.stand_in import Fate

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from understudy.providers import Provider

MESSAGES = [{"role": "user", "content": "How do I back up my photos?"}]
LIMIT_S = 120
P50_MS, P99_MS = 6.0, 50.0
"""What the queue may add to the time to the first token."""

SPARE = 1.5
"""Places in the worker for each stream: on a busy machine one takes longer, and a wait for a place shows nothing."""


@dataclass(frozen=True)
class Load:
    """How many streams run at once, how quickly, how long each, and for how many lengths of one they are measured."""

    streams: int = 200
    rate: int = 20
    seconds: float = 10.0
    lengths: float = 2.0

    @property
    def tokens(self) -> int:
        """Of one answer."""
        return round(self.rate * self.seconds)

    @property
    def count(self) -> int:
        """Of all streams: those that fill up first, and those that are measured."""
        return round(self.streams * (1 + self.lengths))


@dataclass(frozen=True)
class Sample:
    """One stream."""

    first_ms: float
    text: str


@dataclass(frozen=True)
class Figures:
    """What a run of the load has shown."""

    samples: Sequence[Sample | None]
    """In the order of their beginnings; None for one without an answer."""
    cores: dict[str, float]
    """Used by each process while all streams ran."""

    def first_ms(self, load: Load) -> list[float]:
        """The times to the first token of the streams that are measured, shortest first."""
        return sorted(sample.first_ms for sample in self.samples[load.streams :] if sample)

    def whole(self, answer: str) -> int:
        """How many of all streams were this answer."""
        return sum(sample is not None and sample.text == answer for sample in self.samples)


def percentile(ordered: Sequence[float], share: float) -> float:
    """The value that this share of them does not exceed."""
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else float("nan")


async def direct(chat: Chat, provider: Provider) -> Sample | None:
    """Ask the provider itself."""
    prompt = build(KIND.parse({"messages": MESSAGES}))  # type: ignore[arg-type]
    begun, first = time.perf_counter(), 0.0

    def on_delta(_: str) -> None:
        nonlocal first
        first = first or time.perf_counter()

    try:
        reply = await chat.complete(provider, prompt, timeout_s=LIMIT_S, on_delta=on_delta)
    except ProviderFailure:
        return None
    return Sample((first - begun) * 1000, reply.text)


async def queued(llm: Understudy) -> Sample | None:
    """Ask as a bot does; what was streamed must be the result."""
    begun, first = time.perf_counter(), 0.0
    try:
        async with llm.agent_turn(MESSAGES, stream=True, deadline_s=LIMIT_S) as stream:
            async for event in stream:
                if event.type == "delta":
                    first = first or time.perf_counter()
            outcome = await stream.result()
    except CallError:
        return None
    whole = outcome.result is not None and outcome.result.text == stream.text
    return Sample((first - begun) * 1000, stream.text if whole else "")


async def run(load: Load, ask: Callable[[], Awaitable[Sample | None]], stack: OneWorker) -> Figures:
    """Put the load on, and see what the processes use while all streams run."""
    loop = asyncio.get_running_loop()
    begun, every_s = loop.time(), load.seconds / load.streams
    used: list[dict[str, float]] = []

    async def one(number: int) -> Sample | None:
        await asyncio.sleep(begun + number * every_s - loop.time())
        if number in (load.streams, load.count - 1):
            used.append(stack.cpu_s())
        return await ask()

    samples = await asyncio.gather(*(one(number) for number in range(load.count)))
    window_s = (load.count - 1 - load.streams) * every_s
    return Figures(samples, {name: (used[1][name] - before) / window_s for name, before in used[0].items()})


async def both(load: Load, stack: OneWorker) -> tuple[str, Figures, Figures]:
    """The answer, and the load without the queue and through it."""
    chat = Chat([stack.provider])
    try:
        answer = await direct(chat, stack.provider)
        without = await run(load, lambda: direct(chat, stack.provider), stack)
    finally:
        await chat.close()
    async with Understudy(stack.settings) as llm:
        await queued(llm)  # what is made at the first use
        through = await run(load, lambda: queued(llm), stack)
    return answer.text if answer else "", without, through


def report(load: Load, answer: str, without: Figures, through: Figures) -> dict[str, Any]:
    """The figures, and whether they are good enough."""
    first = {"direct": without.first_ms(load), "queued": through.first_ms(load)}
    p50 = {name: statistics.median(values) if values else float("nan") for name, values in first.items()}
    p99 = {name: percentile(values, 0.99) for name, values in first.items()}
    added = {"p50": p50["queued"] - p50["direct"], "p99": p99["queued"] - p99["direct"]}
    whole = {"direct": without.whole(answer), "queued": through.whole(answer)}
    held = {
        "all whole": bool(answer) and set(whole.values()) == {load.count},
        "worker under one core": through.cores["worker"] < 1,
        "client under one core": through.cores["client"] < 1,
        f"p50 added <= {P50_MS:g} ms": added["p50"] <= P50_MS,
        f"p99 added <= {P99_MS:g} ms": added["p99"] <= P99_MS,
    }
    return {
        "load": asdict(load) | {"count": load.count, "measured": len(first["queued"])},
        "whole": whole,
        "first_token_ms": {"p50": p50, "p99": p99, "added": added},
        "cores": through.cores,
        "held": held,
    }


def table(said: dict[str, Any], load: Load) -> str:
    """The same for a reader."""
    first, cores, whole, held = (said[name] for name in ("first_token_ms", "cores", "whole", "held"))
    rows = [
        f"{load.streams} streams at once, {load.rate} tokens/s each, {load.seconds:g} s long, one worker process",
        "",
        "time to first token     p50 ms   p99 ms",
        *(
            f"  {name:<20} {row50:8.1f} {row99:8.1f}"
            for name, row50, row99 in (
                ("asked directly", first["p50"]["direct"], first["p99"]["direct"]),
                ("through the queue", first["p50"]["queued"], first["p99"]["queued"]),
                ("added by the queue", first["added"]["p50"], first["added"]["p99"]),
            )
        ),
        "",
        f"whole answers: {whole['queued']} of {load.count} (asked directly: {whole['direct']})",
        "cores used:    " + ", ".join(f"{name} {used:.2f}" for name, used in cores.items()),
        "",
        *(f"  {'held' if good else 'MISSED':<7} {name}" for name, good in held.items()),
    ]
    return "\n".join(rows)


def main(args: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = ArgumentParser(description="Streamed agent turns through one worker process.")
    parser.add_argument("--streams", type=int, default=Load.streams, help="at once")
    parser.add_argument("--rate", type=int, default=Load.rate, help="tokens a second of each")
    parser.add_argument("--seconds", type=float, default=Load.seconds, help="that one stream takes")
    parser.add_argument("--lengths", type=float, default=Load.lengths, help="of a stream, for which they are measured")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    parser.add_argument("--assert", action="store_true", dest="check", help="exit with 1 unless all of them hold")
    given = parser.parse_args(args)
    load = Load(given.streams, given.rate, given.seconds, given.lengths)
    fate = Fate(tokens=load.tokens, drip_ms=round(1000 / load.rate))
    with OneWorker(fate, round(load.streams * SPARE) + 1, OLLAMA_TIMEOUT=str(LIMIT_S)) as stack:
        said = report(load, *asyncio.run(both(load, stack)))
    click.echo(json.dumps(said, indent=2) if given.json else table(said, load))
    if given.check and not all(said["held"].values()):
        sys.exit(1)


if __name__ == "__main__":
    main()
