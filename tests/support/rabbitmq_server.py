"""A RabbitMQ node of the tests' own, beside whatever else runs on the machine."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

from kombu import Connection

from tests.support.ports import free_ports
from workers.leash import LeashedProcess

# The package's command on the PATH changes to another user and to the machine's own node; this one does neither.
DEBIAN_SCRIPT = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
# The Erlang machine and the node's first database take 5 to 15 s on two busy cores.
START_LIMIT_S = 90.0


def find_rabbitmq() -> Path | None:
    """Find the server script; None when RabbitMQ is not installed."""
    if DEBIAN_SCRIPT.exists():
        return DEBIAN_SCRIPT
    found = shutil.which("rabbitmq-server")
    return Path(found) if found else None


class RabbitMQServer:
    """A node with its own name, ports, port mapper and folders, all on loopback.

    Args:
        directory: where everything it writes goes, cookie included.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.port, self._dist_port, self._epmd_port = free_ports(3)
        self._processes: list[LeashedProcess] = []

    @property
    def url(self) -> str:
        """The address to put into BROKER_URL."""
        return f"amqp://guest:guest@127.0.0.1:{self.port}//"

    @property
    def log(self) -> Path:
        """What the node prints."""
        return self.directory / "node.log"

    def start(self, limit_s: float = START_LIMIT_S) -> None:
        """Start the node and wait until it accepts AMQP connections.

        Raises:
            RuntimeError: RabbitMQ is not installed, or the node did not start.
        """
        script, epmd = find_rabbitmq(), shutil.which("epmd")
        if script is None or epmd is None:
            raise RuntimeError("RabbitMQ is not installed")
        env = self._environment()
        # Started by hand: one that the node starts by itself would stay behind as a daemon.
        self._processes.append(LeashedProcess([epmd, "-port", str(self._epmd_port)], env=env))
        with self.log.open("ab") as output:
            self._processes.append(LeashedProcess([str(script)], env=env, output=output.fileno()))
        until = time.monotonic() + limit_s
        while not self._accepts():
            if time.monotonic() >= until or not self._processes[-1].alive:
                self.stop()
                tail = self.log.read_text(encoding="utf-8", errors="replace")[-2000:]
                raise RuntimeError(f"RabbitMQ did not start:\n{tail}")
            time.sleep(0.1)

    def stop(self) -> None:
        """End the node at once and its port mapper after it; a test needs nothing that it would still write."""
        while self._processes:
            self._processes.pop().kill()

    def _environment(self) -> dict[str, str]:
        self.directory.mkdir(parents=True, exist_ok=True)
        plugins = self.directory / "enabled_plugins"
        plugins.write_text("[].\n", encoding="utf-8")
        config = self.directory / "rabbitmq.conf"
        config.write_text(f"listeners.tcp.local = 127.0.0.1:{self.port}\n", encoding="utf-8")
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("RABBITMQ_", "ERL_"))}
        return clean | {
            "HOME": str(self.directory),  # the Erlang cookie is made there
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_EPMD_PORT": str(self._epmd_port),
            "RABBITMQ_NODENAME": f"understudy-{self.port}@localhost",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_DIST_PORT": str(self._dist_port),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
            "RABBITMQ_CONF_ENV_FILE": str(self.directory / "no-such-file"),
            "RABBITMQ_CONFIG_FILE": str(config),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(plugins),
            "RABBITMQ_MNESIA_BASE": str(self.directory / "mnesia"),
            "RABBITMQ_LOG_BASE": str(self.directory / "log"),
            "RABBITMQ_PID_FILE": str(self.directory / "node.pid"),
        }

    def _accepts(self) -> bool:
        try:
            with Connection(self.url, connect_timeout=2) as connection:
                connection.connect()
        except OSError:
            return False
        return True
