"""An HTTP client that hides nothing: it tells which bytes came and how the connection ended."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

QUIET_S = 0.4
LIMIT_S = 10.0


@dataclass
class Heard:
    """What came back."""

    raw: bytes = b""
    end: str = "closed"
    """`closed`, `reset`, or `quiet` when nothing more came."""
    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    whole: bool = False
    """Whether the body is complete by its own framing."""

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)

    @property
    def events(self) -> list[str]:
        """The data of each server-sent event, as text."""
        return [line[len("data: ") :] for line in self.body.decode().splitlines() if line.startswith("data: ")]


async def fetch(
    url: str, body: object = None, *, quiet_s: float = LIMIT_S, headers: dict[str, str] | None = None
) -> Heard:
    """Send one request and read until the connection ends or is quiet for `quiet_s`.

    Raises:
        ConnectionRefusedError: nobody listens.
    """
    parts = urlsplit(url)
    data = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"{'GET' if body is None else 'POST'} {parts.path} HTTP/1.1", f"Host: {parts.netloc}", "Connection: close"]
    lines += [f"Content-Length: {len(data)}", "Content-Type: application/json"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    heard = Heard()
    try:
        writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + data)
        while piece := await asyncio.wait_for(reader.read(65_536), quiet_s):
            heard.raw += piece
    except ConnectionResetError:
        heard.end = "reset"
    except TimeoutError:
        heard.end = "quiet"
    finally:
        writer.close()
    return _understood(heard)


def _understood(heard: Heard) -> Heard:
    head, separator, rest = heard.raw.partition(b"\r\n\r\n")
    if not separator:
        return heard
    first, *lines = head.decode().split("\r\n")
    heard.status = int(first.split()[1])
    heard.headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    if heard.headers.get("transfer-encoding") == "chunked":
        while rest:
            size, _, rest = rest.partition(b"\r\n")
            length = int(size, 16)
            heard.whole = length == 0
            heard.body += rest[:length]
            rest = rest[length + 2 :]
    else:
        heard.body = rest
        heard.whole = len(rest) == int(heard.headers.get("content-length", -1))
    return heard
