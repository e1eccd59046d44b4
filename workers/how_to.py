"""What the reader of a terminal is told of a running stack, and how to talk to it."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from workers.stack import Stack

TEXT = """\
{parts}

To talk to it, in another terminal and in this folder:

  . {env_file}
  {understudy} moderate 'WIN a free prize now'
  {understudy} status

  {python} - <<'END'
  import asyncio
  from bot_client import Understudy

  async def main():
      async with Understudy.from_settings() as llm:
          outcome = await llm.name_thread("How do I back up my photos?")
          print(outcome.result.name, "by", outcome.provider)

  asyncio.run(main())
  END
{fates}
Ctrl-C ends it all.
"""

FATES = """
To see what happens when {name} fails, take its stand-in away, and bring it back:

  curl -X PUT -d '{{"refuse": true}}' {admin_url}/fate
  curl -X PUT -d '{{}}' {admin_url}/fate

Others: {{"silence": true}}, {{"status": 503}}, {{"latency_ms": 3000}}, {{"answer": "not_json"}};
what it got so far: curl '{admin_url}/counts?records=no'
"""


def how_to(stack: Stack, env_file: Path) -> str:
    """The parts of the stack, and commands to copy.

    Args:
        env_file: of the variables that a client needs.
    """
    rows = [("Redis", stack.redis_words)]
    rows += [(found.provider.name, stack.provider_words(found)) for found in stack.providers]
    rows.append(("Workers", f"one each for {', '.join(stack.queues)}; logs in {_short(stack.folder)}"))
    flower = stack.flower_url
    rows.append(("Flower", f"{flower}; providers: {flower}/providers" if flower else "not installed, so left out"))
    ports = ", ".join(f"{url.split('/')[2].rpartition(':')[2]} {queue}" for queue, url in stack.metrics.items())
    rows.append(("Metrics", f"http://127.0.0.1:PORT/metrics of each worker; the ports: {ports}"))
    width = max(len(name) for name, _ in rows)
    return TEXT.format(
        parts="\n".join(f"{name:<{width}}  {words}" for name, words in rows),
        env_file=_sourced(env_file),
        understudy=_understudy(),
        python=shlex.quote(_short(Path(sys.executable))),
        fates=_fates(stack),
    )


def _fates(stack: Stack) -> str:
    stand_ins = [provider.name for provider in stack.stand_ins]
    if not stand_ins:
        return ""
    return FATES.format(name=stand_ins[0], admin_url=stack.endpoints[stand_ins[0]]["admin_url"])


def _understudy() -> str:
    """The command, as it is installed beside this Python; else its module."""
    python = Path(sys.executable)
    command = python.with_name("understudy")
    return shlex.quote(_short(command)) if command.exists() else f"{shlex.quote(_short(python))} -m bot_client.cli"


def _short(path: Path) -> str:
    """The path as one types it here."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)


def _sourced(path: Path) -> str:
    # A shell looks for a bare name on the PATH.
    short = _short(path)
    return shlex.quote(short if "/" in short else f"./{short}")
