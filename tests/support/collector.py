"""A collector of traces on loopback: OTLP over HTTP, decoded; it may be away, or take a request and never answer."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

KINDS = {1: "INTERNAL", 2: "SERVER", 3: "CLIENT", 4: "PRODUCER", 5: "CONSUMER"}
ERROR = 2


@dataclass(frozen=True)
class Seen:
    """One span as it came in."""

    name: str
    kind: str
    trace_id: str
    span_id: str
    parent_id: str
    attributes: Mapping[str, Any]
    events: tuple[tuple[str, Mapping[str, Any]], ...]
    failed: bool
    service: str

    @property
    def call_id(self) -> str:
        """Of the call, where it names one."""
        return str(self.attributes.get("understudy.call.id", ""))

    def event(self, name: str) -> Mapping[str, Any]:
        """What an event of this name says."""
        found = [about for said, about in self.events if said == name]
        assert found, f"{self.name} has no event {name}: {self.events}"
        return found[0]


class Collector:
    """Listens on a port of its own, until it is left."""

    def __init__(self) -> None:
        self.spans: list[Seen] = []
        self.raw: list[bytes] = []
        self.paths: set[str] = set()
        self.answers = threading.Event()
        """Cleared, requests are taken and not answered."""
        self.answers.set()
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if not collector.answers.is_set():
                    collector.answers.wait(60)
                    return
                collector.take(self.path, body)
                reply = ExportTraceServiceResponse().SerializeToString()
                self.send_response(200)
                self.send_header("Content-Type", "application/x-protobuf")
                self.send_header("Content-Length", str(len(reply)))
                self.end_headers()
                self.wfile.write(reply)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
                """Nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Nobody listens any more; twice does no harm."""
        self.answers.set()
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        """For OTEL_EXPORTER_OTLP_ENDPOINT."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def take(self, path: str, body: bytes) -> None:
        """Keep what came in."""
        request = ExportTraceServiceRequest.FromString(body)
        found = []
        for resource in request.resource_spans:
            service = str(_values(resource.resource.attributes).get("service.name", ""))
            for scope in resource.scope_spans:
                found += [_seen(span, service) for span in scope.spans]
        self.paths.add(path)
        self.raw.append(body)
        self.spans += found

    def trace(self, trace_id: str) -> list[Seen]:
        """Its spans, so far."""
        return [span for span in self.spans if span.trace_id == trace_id]

    def of_call(self, call_id: str) -> list[Seen]:
        """The spans of the traces that the call is in."""
        traces = {span.trace_id for span in self.spans if span.call_id == call_id}
        return [span for span in self.spans if span.trace_id in traces]


def one(spans: list[Seen], name: str) -> Seen:
    """The one span of this name."""
    found = [span for span in spans if span.name == name]
    assert len(found) == 1, f"{len(found)} spans {name!r} among {sorted(span.name for span in spans)}"
    return found[0]


def _seen(span: Any, service: str) -> Seen:
    return Seen(
        span.name,
        KINDS[span.kind],
        span.trace_id.hex(),
        span.span_id.hex(),
        span.parent_span_id.hex(),
        _values(span.attributes),
        tuple((event.name, _values(event.attributes)) for event in span.events),
        span.status.code == ERROR,
        service,
    )


def _values(pairs: Any) -> dict[str, Any]:
    return {pair.key: _value(pair.value) for pair in pairs}


def _value(value: Any) -> Any:
    which = value.WhichOneof("value")
    if which == "array_value":
        return [_value(each) for each in value.array_value.values]
    return getattr(value, which)
