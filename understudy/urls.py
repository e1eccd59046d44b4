"""URLs in settings: what is allowed, and how to show one without its password."""

from __future__ import annotations

import re
from urllib.parse import quote, urlsplit

REDIS_SCHEMES = ("redis", "rediss", "unix", "sentinel")
BROKER_SCHEMES = (*REDIS_SCHEMES, "amqp", "amqps")

_NEXT_URL = re.compile(r";(?=[a-z+]+://)")
_NO_PORT = re.compile(r"^(\[[^\]]*\]|[^/:\[]*):(?!\d*(?:[/?#;]|$))[^/?#;]*")
_QUERY_SECRET = re.compile(r"([?&][^=&#;]*(?:password|secret|token|key)[^=&#;]*=)[^&#;]*", re.IGNORECASE)


def mask_url(url: str) -> str:
    """The URL, or the ``;``-separated URLs, with whatever could be a password replaced by ``***``.

    Args:
        url: any text; all between ``://`` and the last ``@`` is taken for user and password, as is a port that is none.
    """
    parts = []
    for part in _NEXT_URL.split(url):
        scheme, mark, rest = part.partition("://") if "://" in part else ("", "", part)
        userinfo, at, tail = rest.rpartition("@")
        user = userinfo.partition(":")[0] if ":" in userinfo else ""
        parts.append(f"{scheme}{mark}{user + ':***' if at else ''}{at}" + _NO_PORT.sub(r"\1:***", tail))
    return _QUERY_SECRET.sub(r"\1***", ";".join(parts))


def with_password(url: str, password: str) -> str:
    """The URL with a password, unless it has one or is none of Redis."""
    scheme, mark, rest = url.partition("://")
    authority, slash, path = rest.partition("/")
    userinfo, _, hosts = authority.rpartition("@")
    if scheme not in REDIS_SCHEMES or ":" in userinfo:
        return url
    return f"{scheme}{mark}{userinfo}:{quote(password, safe='')}@{hosts}{slash}{path}"


def http_url(value: str) -> str:
    """The URL of an HTTP API without a trailing slash; ValueError says what is allowed."""
    allowed = "a URL such as http://localhost:11434, without user, password, query or fragment"
    try:
        parts = urlsplit(value)
        port_is_number = parts.port is None or parts.port > 0
    except ValueError:
        raise ValueError(allowed) from None
    if parts.scheme not in ("http", "https") or not parts.hostname or not port_is_number or "@" in parts.netloc:
        raise ValueError(allowed)
    if parts.query or parts.fragment or re.search(r"\s", value):
        raise ValueError(allowed)
    return value.rstrip("/")


def store_url(value: str, schemes: tuple[str, ...]) -> str:
    """The URL of Redis or of a broker, unchanged; ValueError says what is allowed."""
    allowed = f"a URL that starts with {', '.join(f'{scheme}://' for scheme in schemes)}"
    scheme = value.partition("://")[0]
    if "://" not in value or scheme not in schemes or re.search(r"\s", value):
        raise ValueError(allowed)
    if scheme != "sentinel" and ";" in value:
        raise ValueError(f"{allowed}, and one server only (several with sentinel:// alone)")
    if "@" in value.partition("://")[2].partition("?")[0].partition("/")[2] and scheme != "unix":
        # The host would be found within the password.
        raise ValueError(f"{allowed}, with a / in the password written as %2F")
    try:
        for part in value.split(";"):
            parts = urlsplit(part if "://" in part else f"//{part}")
            has_host = scheme == "unix" or bool(parts.hostname)
            if parts.port == 0 or not has_host:
                raise ValueError(allowed)  # noqa: TRY301 - a port that is no number raises the same
    except ValueError:
        raise ValueError(f"{allowed}, with a host and a port from 1 to 65535") from None
    return value
