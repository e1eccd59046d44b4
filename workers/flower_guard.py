"""Flower is closed by default: what it serves beyond this machine asks for a login, or it does not start.

Its own buttons and the actions of its API are off: they tell no operator from a reader, and write no audit log. Flower
itself listens on every interface and asks for nothing. It gives no hook for its command, but it has Celery import the
tasks before it listens, and that can be heard.
"""

from __future__ import annotations

import ipaddress
import os
import socket
from typing import TYPE_CHECKING, Any

import click
from celery import signals

from understudy.errors import SettingsError
from understudy.settings_files import from_file

if TYPE_CHECKING:
    from collections.abc import Sequence

    from celery import Celery

VARIABLE = "FLOWER_BASIC_AUTH"
LOOPBACK = "127.0.0.1"


def guard_flower(app: Celery) -> None:
    """Look at Flower's options before `celery -A workers flower` listens; other commands are left alone."""
    signals.import_modules.connect(_look, sender=app, dispatch_uid="understudy-flower-guard")


def address_for(address: str, logins: Sequence[str], *, oauth: bool) -> str:
    """Where Flower may listen.

    Args:
        address: that was asked for; empty for none in particular.
        logins: those of basic authentication, each `user:password`.
        oauth: whether it asks for a login by OAuth.

    Raises:
        SettingsError: it would be open beyond this machine, or a login cannot be used.
    """
    for login in logins:
        user, _, password = login.partition(":")
        # Flower compares with a function that takes ASCII only.
        if not user or not password or not login.isascii() or not login.isprintable():
            raise SettingsError(
                "A login of Flower cannot be used (it is not shown): it must be user:password, in printable ASCII."
            )
    if logins or oauth:
        return address
    if not address:
        return LOOPBACK
    if not is_loopback(address):
        raise SettingsError(
            f"Flower would listen on {address} without asking for a login: give it one with --basic-auth=user:password,"
            f" {VARIABLE} or a file that {VARIABLE}_FILE names, or with --auth, or leave --address out to serve this"
            " machine alone."
        )
    return address


def is_loopback(address: str) -> bool:
    """Whether only this machine can reach it; a name counts when all its addresses do."""
    try:
        found = {str(info[4][0]).partition("%")[0] for info in socket.getaddrinfo(address, None)}
    except (OSError, UnicodeError):
        return False
    return all(ipaddress.ip_address(each).is_loopback for each in found)


def logins_in_file() -> list[str]:
    """The logins in the file that FLOWER_BASIC_AUTH_FILE names, one a line.

    Raises:
        SettingsError: it cannot be read, or it is empty.
    """
    if not os.environ.get(f"{VARIABLE}_FILE"):
        return []
    lines = [line.strip() for line in (from_file(VARIABLE, os.environ) or "").splitlines()]
    if not any(lines):
        raise SettingsError(f"The file that {VARIABLE}_FILE names holds no login: it must hold user:password.")
    return [line for line in lines if line]


def _look(**_: Any) -> None:
    context = click.get_current_context(silent=True)
    if context is None or context.info_name != "flower":
        return
    from tornado.options import options  # noqa: PLC0415 - a worker needs none of it

    options.read_only = True
    try:
        if not options.basic_auth:
            options.basic_auth = logins_in_file()
        # A socket file is not on a network.
        if not options.unix_socket:
            options.address = address_for(options.address, options.basic_auth or [], oauth=bool(options.auth))
    except SettingsError as error:
        # The sentence alone, and status 1; an ordinary exception would be logged with a traceback first.
        raise SystemExit(str(error)) from None
