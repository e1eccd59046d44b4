"""A Redis-compatible server that a test may kill, pause and start again."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

from workers.local_redis import Flavour, LocalRedis, find_server

if TYPE_CHECKING:
    from pathlib import Path


class RedisServer(LocalRedis):
    """The product's own embedded server, with what a fault test does to it.

    Args:
        directory: where its data goes.
        flavour: `valkey` (from the wheel) or `redis` (the machine's redis-server).
        appendonly: whether it keeps its data over a restart.
        password: what clients must give; None for nothing.
    """

    def __init__(
        self, directory: Path, flavour: Flavour = "valkey", *, appendonly: bool = False, password: str | None = None
    ) -> None:
        super().__init__(directory, binary=find_server(flavour), appendonly=appendonly, password=password)
        self.flavour = flavour

    def restart(self) -> None:
        """Start it again on the same port and folder; stop it first when it runs."""
        self.stop()
        self.start()

    def pause(self) -> None:
        """Stop it in its tracks: connections stay open and nothing answers."""
        self._leashed().signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        self._leashed().signal(signal.SIGCONT)
