"""A provider that says back what it was asked, wherever an answer has room for words."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        """Its list of models."""
        self._answer(200, {"object": "list", "data": [{"id": "echo", "object": "model"}]})

    def do_POST(self) -> None:
        """The prompt, as an error or as an answer."""
        asked = self.rfile.read(int(self.headers.get("Content-Length", "0"))).decode()
        status = self.server.status
        if status != 200:
            error = {"message": f"Cannot answer: {asked}", "type": asked, "param": asked, "code": None}
            self._answer(status, {"error": error})
            return
        message = {"role": "assistant", "content": f"I will not judge this: {asked}"}
        choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
        self._answer(200, {"id": asked, "object": "chat.completion", "created": 1, "model": asked, "choices": choices})

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as the standard library has it
        """Nothing."""

    def _answer(self, status: int, body: dict[str, Any]) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    status = 200


class Echo:
    """It listens while it is entered."""

    def __init__(self) -> None:
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def base_url(self) -> str:
        """Where it is asked."""
        return f"http://127.0.0.1:{self._server.server_port}/v1"

    def answers_with(self, status: int) -> None:
        """From now on."""
        self._server.status = status
