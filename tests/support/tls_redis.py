"""A redis-server that speaks TLS, with a certificate that a private authority has signed."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from tests.support.ports import free_port
from tests.support.redis_server import RedisServer

if TYPE_CHECKING:
    from pathlib import Path

_COMMANDS = """\
openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj "/CN=Our own authority" -keyout ca.key -out ca.crt
openssl req -newkey rsa:2048 -nodes -subj "/CN=redis" -keyout redis.key -out redis.csr
echo "subjectAltName=DNS:localhost" > names
openssl x509 -req -in redis.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -extfile names -out redis.crt
"""


class TlsRedis(RedisServer):
    """Once it has started, its address is the one with TLS, and names the authority.

    Args:
        directory: where its data and the certificates go.
    """

    def __init__(self, directory: Path) -> None:
        super().__init__(directory, "redis")
        self.tls_port = free_port()
        self.authority = directory / "ca.crt"
        self._speaks = False

    def start(self, limit_s: float = 20.0) -> None:
        """Make the certificates, and start it."""
        self._speaks = False
        self.directory.mkdir(parents=True, exist_ok=True)
        subprocess.run(["sh", "-ec", _COMMANDS], cwd=self.directory, check=True, capture_output=True)
        super().start(limit_s)
        self._speaks = True

    def url(self, db: int = 0) -> str:
        """The address, with the authority to trust."""
        return f"{self.bare_url(db)}?ssl_ca_certs={self.authority}" if self._speaks else super().url(db)

    def bare_url(self, db: int = 0) -> str:
        """The address for somebody who knows the public authorities only."""
        return f"rediss://localhost:{self.tls_port}/{db}"

    def _write_config(self) -> Path:
        path = super()._write_config()
        files = (("cert", "redis.crt"), ("key", "redis.key"), ("ca-cert", "ca.crt"))
        lines = [f"tls-port {self.tls_port}", "tls-auth-clients no"]
        lines += [f"tls-{what}-file {self.directory / name}" for what, name in files]
        with path.open("a", encoding="utf-8") as file:
            file.write("\n".join(lines) + "\n")
        return path
