"""From an exception of the connection to a row of the failure table."""

from __future__ import annotations

import errno
import ssl
from typing import TYPE_CHECKING

import aiohttp

from workers.failures import Row, row

if TYPE_CHECKING:
    from collections.abc import Iterator

_CHAIN = 10
"""How far to follow causes: SDK, HTTP client, transport and system each add one."""


def causes(error: BaseException) -> Iterator[BaseException]:
    """The exception and what it came from, outermost first."""
    current: BaseException | None = error
    for _ in range(_CHAIN):
        if current is None:
            return
        yield current
        current = current.__cause__ or current.__context__


def row_of_connection(error: BaseException, *, answered: bool) -> tuple[Row, str]:
    """What broke, and in a few words how.

    The SDK's own classes do not tell: the transport maps a connection reset to a timeout, and the SDK that to its
    `APITimeoutError`. What aiohttp raised does.

    Args:
        error: what was raised, with its causes.
        answered: the response had begun, so that a break is a cut and not a reset.
    """
    chain = list(causes(error))
    for each in chain:
        if isinstance(each, aiohttp.ClientConnectorDNSError):
            return row("dns"), "the host name has no address"
        if isinstance(each, aiohttp.ClientSSLError | ssl.SSLError | ssl.CertificateError):
            return row("tls"), f"TLS failed: {type(each).__name__}"
        if isinstance(each, aiohttp.ClientConnectorError):
            return _not_connected(each)
        if isinstance(each, aiohttp.ConnectionTimeoutError):
            return row("connect_timeout"), "no connection within its limit"
    if answered:
        return row("cut"), f"the stream broke: {_name(chain)}"
    if any(isinstance(each, aiohttp.ClientResponseError) for each in chain):
        return row("cut"), "the answer is not HTTP"
    return row("reset"), f"the connection closed before any answer: {_name(chain)}"


def _not_connected(error: aiohttp.ClientConnectorError) -> tuple[Row, str]:
    reason = errno.errorcode.get(error.os_error.errno or 0, type(error.os_error).__name__)
    if error.ssl and reason in ("ECONNRESET", "EPIPE", "ConnectionResetError", "ConnectionAbortedError"):
        return row("tls"), "the connection closed during the TLS handshake"
    return row("refused"), f"no connection: {reason}"


def _name(chain: list[BaseException]) -> str:
    return type(chain[-1]).__name__ if chain else "unknown"
