"""The HTTP server of one worker process: `/metrics`, `/healthz`, `/readyz`.

It has threads of its own, so that it still answers while the worker's loop does not.
"""

from __future__ import annotations

import errno
import json
import socket
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from typing import TYPE_CHECKING

import structlog
from prometheus_client import disable_created_metrics
from prometheus_client.exposition import choose_encoder

from understudy.errors import SettingsError

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

    from understudy.settings import Settings
    from workers.checks import Checks, Verdict

IDLE_S = 5.0
"""How long a connection may say nothing."""

log = structlog.get_logger("understudy.metrics")


class MetricsServer:
    """Listens from the moment it is made, and answers from `serve` on.

    Args:
        host: 127.0.0.1 for this machine alone, 0.0.0.0 or :: for all its addresses.
        port: 0 takes any that is free.

    Raises:
        SettingsError: the address cannot be listened on.
    """

    def __init__(self, host: str, port: int) -> None:
        try:
            self._server = _server_class(host)((host, port), _Handler)
        except (OSError, UnicodeError) as error:
            raise SettingsError(_sentence(host, port, error)) from None
        self._thread = threading.Thread(target=self._server.serve_forever, name="understudy-metrics", daemon=True)

    @property
    def url(self) -> str:
        """Where it listens."""
        host, port = self._server.server_name, self._server.server_port
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    def serve(self, registry: CollectorRegistry, checks: Checks) -> None:
        """Answer."""
        disable_created_metrics()  # type: ignore[no-untyped-call] # they would double the number of series
        self._server.registry, self._server.checks = registry, checks
        self._thread.start()
        log.info("metrics", address=self.url)

    def stop(self) -> None:
        """Listen no more."""
        if self._thread.is_alive():
            self._server.shutdown()
        self._server.server_close()


def metrics_server(settings: Settings) -> MetricsServer | None:
    """The server that the settings ask for; None where its port is 0.

    Raises:
        SettingsError: the address cannot be listened on.
    """
    port = settings.understudy_metrics_port
    return MetricsServer(settings.understudy_metrics_host, port) if port else None


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    registry: CollectorRegistry
    checks: Checks

    def server_bind(self) -> None:
        """Without the name look-up of `HTTPServer`, which may take seconds."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def handle_error(self, request: object, client_address: object) -> None:  # noqa: ARG002 - as the standard library has it
        """A scrape that breaks off is no matter of ours."""
        log.debug("a connection failed", error=type(sys.exception() or OSError()).__name__)


class _Server6(_Server):
    address_family = socket.AF_INET6


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = IDLE_S

    def do_GET(self) -> None:
        """What the standard library calls."""
        path = self.path.partition("?")[0]
        if path == "/metrics":
            encode, content_type = choose_encoder(self.headers.get("Accept") or "")
            self._answer(200, content_type, encode(self.server.registry))
        elif path == "/healthz":
            self._tell(self.server.checks.alive())
        elif path == "/readyz":
            self._tell(self.server.checks.ready())
        else:
            self._answer(404, "text/plain", b"There is /metrics, /healthz and /readyz.\n")

    def _tell(self, verdict: Verdict) -> None:
        self._answer(200 if verdict.ok else 503, "application/json", json.dumps(verdict.body()).encode() + b"\n")

    def _answer(self, status: int, content_type: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def version_string(self) -> str:
        """What the header `Server` says: no versions of ours."""
        return "understudy"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as the standard library has it
        """Nothing: probes come every few seconds."""


def _server_class(host: str) -> type[_Server]:
    return _Server6 if ":" in host else _Server


def _sentence(host: str, port: int, error: Exception) -> str:
    number = error.errno if isinstance(error, OSError) else None
    if number == errno.EADDRINUSE:
        return (
            f"UNDERSTUDY_METRICS_PORT is {port}: somebody listens on {host}:{port} already; give each worker process of"
            " a machine a port of its own, or 0 for no metrics."
        )
    if number == errno.EACCES:
        return f"UNDERSTUDY_METRICS_PORT is {port}: this user may not listen on it; take one above 1023."
    return f"UNDERSTUDY_METRICS_HOST is {host[:60]!r}: it must be an address of this machine, as 127.0.0.1 or 0.0.0.0."
