"""Who looks at the page, and whether that person may act."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

LOCAL = "local"
"""The name of whoever sits at this machine, where Flower asks for no login."""

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
FORWARDED = ("Forwarded", "Via", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-Ip")
"""What proxies add: whoever they bring does not sit here."""

VARIABLE = "UNDERSTUDY_OPERATORS"


@dataclass(frozen=True)
class Visitor:
    """Who looks.

    Args:
        who: the login; None where Flower asks for none and the browser did not come by a name of this machine.
        why_not: a sentence, where that person may not act.
    """

    who: str | None
    why_not: str = ""

    @property
    def may_act(self) -> bool:
        """Whether the page's actions are theirs to take."""
        return self.who is not None and not self.why_not


def visitor(who: str | None, operators: Collection[str]) -> Visitor:
    """The visitor, by the operators that the settings name."""
    if who is None:
        return Visitor(
            None,
            "Flower asks for no login here, so nobody may act who does not come by localhost:"
            " give Flower a login with FLOWER_BASIC_AUTH or --auth.",
        )
    if who in operators:
        return Visitor(who)
    if not operators:
        return Visitor(who, f"Nobody may act here: {VARIABLE} names no operator.")
    return Visitor(who, f"You are signed in as {who}, and {VARIABLE} does not name you: you may read.")


def basic_login(authorization: str) -> str | None:
    """The user of a header of basic authentication; None where it has none."""
    scheme, _, credentials = authorization.partition(" ")
    try:
        user, colon, _ = base64.b64decode(credentials.strip(), validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        return None
    return user if scheme == "Basic" and colon and user else None


def local_login(headers: Mapping[str, str]) -> str | None:
    """Who sits at this machine, by the name that the browser asked for; None behind a proxy.

    A page of a foreign site can have its own name point to this machine, but it cannot make that name ours.
    """
    if _is_forwarded(headers):
        return None
    try:
        name = urlsplit(f"//{headers.get('Host', '')}").hostname
    except ValueError:
        return None
    return LOCAL if name in LOOPBACK_NAMES else None


def is_misled(headers: Mapping[str, str]) -> bool:
    """Whether a browser came without a proxy by a name that is not this machine's: a foreign site can have it do so."""
    return local_login(headers) is None and not _is_forwarded(headers)


def is_foreign(headers: Mapping[str, str]) -> bool:
    """Whether a request that is to change something was made by the page of another site."""
    if site := headers.get("Sec-Fetch-Site"):
        # Browsers alone can set it. Behind a proxy the origin may have another name than the one asked for here.
        return site != "same-origin"
    origin = headers.get("Origin")
    if not origin:
        return False
    try:
        return urlsplit(origin).netloc != headers.get("Host")
    except ValueError:
        return True


def _is_forwarded(headers: Mapping[str, str]) -> bool:
    """Whether a proxy brought the request, and says so."""
    return any(name in headers for name in FORWARDED)
