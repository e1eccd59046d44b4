"""`python -m workers.up`: the whole stack in the foreground, until Ctrl-C."""

from __future__ import annotations

import json
import os
import shlex
import sys
import time
from pathlib import Path

import click

from understudy.errors import SettingsError
from workers.how_to import how_to
from workers.stack import ROOT, Plan, Stack, StackError
from workers.state_folder import StateFolder
from workers.stop import Stop

TEND_S = 0.2
ENV_FILE = "env"


@click.command()
@click.option("--json", "as_json", is_flag=True, help="For programs: see below.")
@click.option("--throwaway", is_flag=True, help="Keep nothing, and take an empty database where REDIS_URL is set.")
@click.option("--relay", is_flag=True, help="Put a relay that can be cut in front of a primary that is really there.")
@click.option("--flower/--no-flower", default=True, show_default=True, help="With Flower, where it is installed.")
@click.option("--batch/--no-batch", default=True, show_default=True, help="With a worker for each batch queue.")
@click.option(
    "--state", type=click.Path(path_type=Path, file_okay=False), default=ROOT / ".run", help="Folder for data and logs."
)
def main(*, as_json: bool, throwaway: bool, relay: bool, flower: bool, batch: bool, state: Path) -> None:
    """Run Redis, a worker for each queue, and a stand-in for each provider that is not really there.

    What dies is started again; Ctrl-C ends all, a second one at once.

    With --json, standard output gets one line of JSON when calls can be answered, and the end of standard input ends
    the stack, so that it does not outlive who started it. The line holds REDIS_URL, so keep it in its pipe.
    """
    stop = Stop()
    stop.heed_signals()
    if as_json:
        stop.heed_stdin()
    plan = Plan(throwaway=throwaway, relay=relay, flower=flower, batch=batch)
    try:
        folder = (StateFolder.throwaway(state) if throwaway else StateFolder(state)).take()
        try:
            _run(folder.path, plan, stop, as_json=as_json)
        finally:
            folder.give_back()
    except (SettingsError, StackError) as error:
        # Exit status 1; the sentence goes to standard error.
        raise click.ClickException(str(error)) from None


def _run(folder: Path, plan: Plan, stop: Stop, *, as_json: bool) -> None:
    if not as_json:
        click.echo("Starting Redis and the workers ...")
    stack = Stack(folder, plan, stop)
    env_file = folder / ENV_FILE
    try:
        stack.start()
        if not stop.asked:
            _write_env(env_file, stack.env)
            click.echo(json.dumps(stack.report()) if as_json else how_to(stack, env_file))
            sys.stdout.flush()
        while not stop.asked:
            for sentence in stack.tend():
                click.echo(sentence, err=True)
            time.sleep(TEND_S)
    finally:
        if not as_json:
            click.echo("\nEnding: workers finish what they have begun. Ctrl-C again ends them at once.")
        env_file.unlink(missing_ok=True)
        stack.end()


def _write_env(path: Path, env: dict[str, str]) -> None:
    """What a shell reads to talk to the stack."""
    path.unlink(missing_ok=True)
    lines = [f"export {name}={shlex.quote(value)}\n" for name, value in env.items()]
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.writelines(lines)


if __name__ == "__main__":
    main()
