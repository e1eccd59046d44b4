"""`completion`: what a shell needs to complete commands, options and providers."""

from __future__ import annotations

import os
from pathlib import PurePath

import click
from click.shell_completion import get_completion_class

from bot_client.cli.options import json_option
from bot_client.cli.output import document, is_json

SHELLS = ("bash", "zsh", "fish")
_VARIABLE = "_UNDERSTUDY_COMPLETE"


@click.command()
@click.argument("shell", type=click.Choice(SHELLS), required=False)
@json_option
def completion(shell: str | None) -> None:
    r"""Print the completion script of SHELL (default: the one in use).

    \b
    bash: eval "$(understudy completion bash)"     in ~/.bashrc
    zsh:  eval "$(understudy completion zsh)"      in ~/.zshrc
    fish: understudy completion fish | source      in ~/.config/fish/config.fish
    """
    shell = shell or PurePath(os.environ.get("SHELL", "")).name
    maker = get_completion_class(shell) if shell in SHELLS else None
    if maker is None:
        raise click.UsageError(f"SHELL is needed: {', '.join(SHELLS)}.")
    root = click.get_current_context().find_root()
    script = maker(root.command, {}, "understudy", _VARIABLE).source()
    if is_json():
        document({"shell": shell, "script": script})
    else:
        click.echo(script)
