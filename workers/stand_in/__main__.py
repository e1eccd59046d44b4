"""Run a stand-in as a process of its own."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import signal

import click

from workers.stand_in.admin import Admin
from workers.stand_in.fate import Fate, FateError
from workers.stand_in.port import PortError
from workers.stand_in.server import StandIn

PARENT_LOOK_S = 1.0
WANTED_FILES = 65_536


@click.command()
@click.option("--name", default="ollama", show_default=True, help="Whose place it takes.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=0, show_default=True, type=click.IntRange(0, 65_535), help="0 takes a free one.")
@click.option("--admin-port", default=0, show_default=True, type=click.IntRange(0, 65_535), help="On loopback.")
@click.option("--model", default="llama3.2", show_default=True, help="The model it lists.")
@click.option("--fate", "fates", multiple=True, metavar="KEY=VALUE", help="What goes wrong; may be repeated.")
@click.option("--seed", default=0, show_default=True, help="Of every draw.")
@click.option("--parent", type=click.IntRange(1), help="End when the process with this id is gone.")
def main(
    name: str, host: str, port: int, admin_port: int, model: str, fates: tuple[str, ...], seed: int, parent: int | None
) -> None:
    """Serve a stand-in for a provider until SIGTERM or SIGINT.

    Prints one line of JSON with its name, base_url, admin_url and pid as soon as it listens.
    """
    try:
        stand_in = StandIn(name, model, Fate.parse(fates), host=host, port=port, seed=seed)
    except FateError as error:
        raise click.BadParameter(str(error), param_hint="--fate") from None
    _allow_many_connections()
    try:
        asyncio.run(_serve(stand_in, admin_port, parent))
    except PortError as error:
        raise click.ClickException(str(error)) from None


async def _serve(stand_in: StandIn, admin_port: int, parent: int | None) -> None:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    admin = Admin(stand_in, admin_port)
    is_child = parent == os.getppid()
    try:
        await stand_in.start()
        await admin.start()
        urls = {"base_url": stand_in.base_url, "admin_url": admin.url}
        click.echo(json.dumps({"name": stand_in.name} | urls | {"pid": os.getpid()}))
        while parent is None or _lives(parent, is_child=is_child):
            try:
                async with asyncio.timeout(None if parent is None else PARENT_LOOK_S):
                    await stopping.wait()
                break
            except TimeoutError:
                continue
    finally:
        await admin.stop()
        await stand_in.stop()


def _lives(pid: int, *, is_child: bool) -> bool:
    if is_child:
        # Also right while a killed parent waits to be reaped, and when its number is given away again.
        return os.getppid() == pid
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def _allow_many_connections() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = WANTED_FILES if hard == resource.RLIM_INFINITY else min(WANTED_FILES, hard)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    except (ValueError, OSError):
        click.echo(f"only {soft} open files are allowed: fewer connections at once", err=True)


if __name__ == "__main__":
    main()
