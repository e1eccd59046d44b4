"""`doctor`: read-only checks of settings, Redis, broker, workers and providers."""

from __future__ import annotations

import asyncio
import platform
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

import click
from rich.text import Text

from bot_client.cli.check import Check
from bot_client.cli.checks_broker import broker_checks
from bot_client.cli.checks_providers import provider_checks
from bot_client.cli.checks_redis import redis_checks
from bot_client.cli.exits import Exit
from bot_client.cli.options import json_option
from bot_client.cli.output import document, is_json
from bot_client.cli.terminal import console
from understudy import __version__
from understudy.errors import SettingsError
from understudy.pricing import unpriced
from understudy.providers import absent, providers_from
from understudy.settings import load_settings
from understudy.urls import mask_url
from understudy.words import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

_PACKAGES = ("celery", "kombu", "redis", "pydantic")


@click.command()
@json_option
def doctor() -> int:
    """Check that everything a call needs is there; changes nothing.

    The output holds no secret: paste it into a bug report. Exit status 1 where a check failed.
    """
    checks = [_versions(), *asyncio.run(_all())]
    ok = all(check.ok for check in checks)
    if is_json():
        document({"ok": ok, "checks": [vars(check) for check in checks]})
    else:
        _print(checks)
    return Exit.OK if ok else Exit.FAILED


async def _all() -> list[Check]:

    try:
        settings = load_settings()
        providers = providers_from(settings)
    except SettingsError as error:
        sentences = " ".join(str(error).splitlines())
        return [Check("settings", False, sentences, "Nothing else can be checked before the settings are right.")]
    detail = (
        f"REDIS_URL {mask_url(settings.redis_url)}, prefix {settings.understudy_prefix}, asked in this order: "
        f"{', '.join(f'{p.name} ({p.model})' for p in providers)}"
    )
    groups = await asyncio.gather(
        redis_checks(settings, providers), broker_checks(settings), *(provider_checks(p) for p in providers)
    )
    left_out = [*absent(settings), *unpriced(providers_from(settings), settings)]
    found = [Check("settings", True, detail, " ".join(left_out))]
    return found + [check for group in groups for check in group]


def _versions() -> Check:
    """What runs here; bug reports need it."""
    parts = [f"understudy {__version__}", f"Python {platform.python_version()}", platform.platform(terse=True)]
    for package in _PACKAGES:
        try:
            parts.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            parts.append(f"{package} is not installed")
    return Check("versions", True, ", ".join(parts))


def _print(checks: Sequence[Check]) -> None:

    out = console()
    wide = max(len(check.name) for check in checks)
    for check in checks:
        mark, style = ("FAIL", "bold red") if not check.ok else ("note", "yellow") if check.hint else ("ok", "green")
        out.print(Text.assemble((f"{mark:<5}", style), f"{check.name:<{wide}}  ", printable(check.detail)))
        if check.hint:
            out.print(Text(f"{'':<{wide + 7}}{printable(check.hint)}", style="" if not check.ok else "dim"))
    failed = sum(not check.ok for check in checks)
    out.print(Text(f"{len(checks)} checks, {failed} failed", style="bold red" if failed else "bold green"))
