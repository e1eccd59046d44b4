"""What `understudy remoderate` does on this machine: rows each second, memory, and what live calls notice.

    python -m benchmarks.batch [--sms FILE] [--rows 100000] [--part rate|memory|live]

The messages are those of the SMS Spam Collection (`label<TAB>text`), from `--sms`, `UNDERSTUDY_SMS` or
`../shared/data/sms.tsv`. Stand-ins take the providers' places.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bot_client import Understudy
from tasks.moderation import build as moderation_prompt
from understudy.contracts.moderation import ModerationRequest
from understudy.providers import providers_from
from understudy.settings import load_settings
from workers.chat import Chat

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[1]
WINDOW, ANSWER_MS = 16, 200
PLAIN_S = 10
LIVE_RATE, LIVE_S = 5, 30
SMS = ROOT.parent / "shared" / "data" / "sms.tsv"
PARTS = ("rate", "memory", "live")

_open = urllib.request.build_opener(urllib.request.ProxyHandler({})).open


@contextmanager
def stack(answer_ms: int) -> Iterator[dict[str, Any]]:
    """Redis, workers and stand-ins that answer after so long; what a client needs of it."""
    env = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "UNDERSTUDY_BATCH_CONCURRENCY": str(WINDOW),
        "UNDERSTUDY_LOG_LEVEL": "WARNING",
        "UNDERSTUDY_SHUTDOWN_GRACE_S": "1",
        "UNDERSTUDY_ORDER": "ollama",
        "OLLAMA_URL": "http://127.0.0.1:9",
    }
    command = [sys.executable, "-m", "workers.up", "--json", "--throwaway", "--no-flower"]
    with subprocess.Popen(command, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            report: dict[str, Any] = json.loads(process.stdout.readline())  # type: ignore[union-attr]
            for provider in report["providers"]:
                body = json.dumps({"latency_ms": answer_ms}).encode()
                request = urllib.request.Request(f"{provider['admin_url']}/fate", body, method="PUT")  # noqa: S310
                _open(request).close()
            yield {**env, **report["env"]}
        finally:
            process.stdin.close()  # type: ignore[union-attr]


def texts_of(sms: Path) -> list[str]:
    """The messages."""
    return [line.split("\t", 1)[1] for line in sms.read_text("utf-8").splitlines()]


def written(folder: Path, texts: list[str], rows: int) -> Path:
    """A file of rows, each with a text of its own beyond the first round."""
    path = folder / f"rows-{rows}.jsonl"
    with path.open("w", encoding="utf-8") as file:
        for number in range(rows):
            turn, place = divmod(number, len(texts))
            text = texts[place] if turn == 0 else f"{texts[place]} ({turn})"
            file.write(json.dumps({"id": number, "text": text}) + "\n")
    return path


def remoderate(path: Path, env: dict[str, str], *options: str) -> subprocess.Popen[str]:
    """The command, begun."""
    out = path.with_suffix(".out.jsonl")
    command = [
        sys.executable,
        "-m",
        "bot_client.cli",
        "remoderate",
        str(path),
        "--out",
        str(out),
        "--restart",
        "--json",
    ]
    return subprocess.Popen([*command, *options], env=env, stdout=subprocess.PIPE, text=True, cwd=path.parent)


def followed(process: subprocess.Popen[str]) -> dict[str, Any]:
    """The last event of a command, with the most memory it had, in MB."""
    last, most = {}, 0.0
    for line in process.stdout or ():
        event = json.loads(line)
        if event["event"] in ("progress", "ended"):
            last, most = event, max(most, _memory_mb(process.pid))
    process.wait()
    return {**last, "memory_mb": most}


def _memory_mb(pid: int) -> float:
    try:
        status = Path(f"/proc/{pid}/status").read_text("ascii")
    except OSError:
        return 0.0
    return int(next((line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")), 0)) / 1024


def rate(folder: Path, texts: list[str]) -> None:
    """All messages through stand-ins of 200 ms with a window of 16; beside it, what a loop of 16 requests does."""
    possible = WINDOW * 1000 / ANSWER_MS
    with stack(ANSWER_MS) as env:
        plain = [asyncio.run(_plain(texts, env))]
        told = followed(remoderate(written(folder, texts, len(texts)), env, "--window", str(WINDOW)))
        plain.append(asyncio.run(_plain(texts, env)))
    asked = told["asked"] / told["elapsed_s"]
    click.echo(
        f"rate: {told['done']:,} rows in {told['elapsed_s']:.1f} s; {asked:.1f} calls/s of {possible:.0f} possible"
        f" ({100 * asked / possible:.1f} %), {told['done'] / told['elapsed_s']:.1f} rows/s"
    )
    click.echo(
        f"rate: a loop of {WINDOW} requests without a queue: {plain[0]:.1f} calls/s before, {plain[1]:.1f} after"
        f" ({100 * min(plain) / possible:.1f} to {100 * max(plain) / possible:.1f} %)"
    )


async def _plain(texts: list[str], env: dict[str, str]) -> float:
    """Calls each second of coroutines that ask the primary one after another, as a bot without a queue would."""
    settings = load_settings(env_file=None, understudy_order="ollama", ollama_url=env["OLLAMA_URL"])
    (provider,) = providers_from(settings)
    chat, numbers = Chat([provider]), itertools.count()
    until = time.monotonic() + PLAIN_S

    async def ask(place: int) -> None:
        await asyncio.sleep(place * ANSWER_MS / 1000 / WINDOW)  # or all would ask in the same moment for ever
        while time.monotonic() < until:
            prompt = moderation_prompt(ModerationRequest(text=texts[next(numbers) % len(texts)]))
            await chat.complete(provider, prompt)

    began = time.monotonic()
    try:
        await asyncio.gather(*map(ask, range(WINDOW)))
        return next(numbers) / (time.monotonic() - began)
    finally:
        await chat.close()


def memory(folder: Path, texts: list[str], rows: int) -> None:
    """A small and a large file through stand-ins that answer at once."""
    told = {}
    with stack(0) as env:
        for count in (len(texts), rows):
            told[count] = followed(remoderate(written(folder, texts, count), env, "--window", str(WINDOW)))
            click.echo(
                f"memory: {count:,} rows: {told[count]['memory_mb']:.1f} MB at most,"
                f" {count / told[count]['elapsed_s']:.1f} rows/s"
            )
    grown = told[rows]["memory_mb"] - told[len(texts)]["memory_mb"]
    click.echo(f"memory: {grown:+.1f} MB for {rows / len(texts):.0f} times the rows")


async def live(folder: Path, texts: list[str]) -> None:
    """Live calls without a batch, then beside one, in one run."""
    with stack(ANSWER_MS) as env:
        names = {name.lower(): value for name, value in env.items() if name in ("REDIS_URL", "BROKER_URL")}
        async with Understudy(load_settings(env_file=None, understudy_order="ollama", **names)) as llm:
            await _live_ms(llm, texts, 2)
            alone = await _live_ms(llm, texts, LIVE_S)
            process = remoderate(written(folder, texts, len(texts)), env, "--window", str(WINDOW))
            try:
                await asyncio.sleep(5)
                beside = await _live_ms(llm, texts, LIVE_S)
            finally:
                process.terminate()
                told = await asyncio.to_thread(followed, process)
    first, second = (statistics.quantiles(ms, n=20)[18] for ms in (alone, beside))
    click.echo(
        f"live: p95 {first:.0f} ms alone, {second:.0f} ms beside a batch at"
        f" {told['done'] / told['elapsed_s']:.0f} rows/s ({second / first:.2f} times);"
        f" medians {statistics.median(alone):.0f} and {statistics.median(beside):.0f} ms"
    )


async def _live_ms(llm: Understudy, texts: list[str], seconds: float) -> list[float]:
    """How long live calls take, five a second."""

    async def one(number: int) -> float:
        began = time.monotonic()
        await llm.moderate(f"live {number}: {texts[number % len(texts)]}"[:500])
        return (time.monotonic() - began) * 1000

    asked = []
    for number in range(int(seconds * LIVE_RATE)):
        asked.append(asyncio.create_task(one(number)))
        await asyncio.sleep(1 / LIVE_RATE)
    return list(await asyncio.gather(*asked))


@click.command()
@click.option(
    "--sms", envvar="UNDERSTUDY_SMS", type=click.Path(path_type=Path), default=ROOT / "../shared/data/sms.tsv"
)
@click.option("--rows", default=100_000, show_default=True, help="Of the large file.")
@click.option("--part", "parts", type=click.Choice(PARTS), multiple=True, default=PARTS)
def main(sms: Path, rows: int, parts: tuple[str, ...]) -> None:
    """Measure a batch job on this machine."""
    if not sms.exists():
        raise click.UsageError(f"{sms} is not there: name the messages with --sms or UNDERSTUDY_SMS.")
    texts = texts_of(sms)
    with tempfile.TemporaryDirectory() as folder:
        if "rate" in parts:
            rate(Path(folder), texts)
        if "live" in parts:
            asyncio.run(live(Path(folder), texts))
        if "memory" in parts:
            memory(Path(folder), texts, rows)


if __name__ == "__main__":
    main()
