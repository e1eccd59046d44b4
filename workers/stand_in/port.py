"""A TCP port that is kept while nobody listens on it."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

# A thousand calls may connect in the same moment; the kernel's own limit applies on top.
BACKLOG: Final = 4096


class PortError(OSError):
    """The port cannot be had: one sentence naming it."""


class Port:
    """One listening port, which can stop listening and start again under the same number.

    While it is shut, a socket stays bound to it without listening: connections are refused, and the number is not lost.
    """

    def __init__(self, host: str, number: int) -> None:
        self.host = host
        self.number = number
        self._held: socket.socket | None = None
        self._server: asyncio.Server | None = None

    @property
    def authority(self) -> str:
        """`host:port` as a URL writes it."""
        return f"[{self.host}]:{self.number}" if ":" in self.host else f"{self.host}:{self.number}"

    def hold(self) -> socket.socket:
        """Bind without listening; number 0 becomes a free one.

        Raises:
            PortError: the address is taken, unknown or not allowed.
        """
        sock: socket.socket | None = None
        try:
            family, kind, proto, _, address = socket.getaddrinfo(self.host, self.number, type=socket.SOCK_STREAM)[0]
            sock = socket.socket(family, kind, proto)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind(address)
        except OSError as error:
            if sock is not None:
                sock.close()
            raise PortError(f"cannot use port {self.number} on {self.host}: {error.strerror}") from None
        self.number = sock.getsockname()[1]
        self._held = sock
        return sock

    async def listen(self, protocol: Callable[[], asyncio.Protocol]) -> None:
        """Accept connections; nothing happens if it already does."""
        if self._server is not None:
            return
        sock = self._held or self.hold()
        try:
            self._server = await asyncio.get_running_loop().create_server(protocol, sock=sock, backlog=BACKLOG)
        except OSError as error:
            raise PortError(f"cannot listen on port {self.number} on {self.host}: {error.strerror}") from None
        self._held = None

    def shut(self) -> None:
        """Refuse connections from now on, and keep the number."""
        if self._server is not None:
            self._server.close()
            self._server = None
            self.hold()

    def release(self) -> None:
        """Stop listening and give the number back."""
        if self._server is not None:
            self._server.close()
            self._server = None
        if self._held is not None:
            self._held.close()
            self._held = None
