"""Where traces go: to the collector that the environment names, or where the application sends its own."""

from __future__ import annotations

import atexit
import logging
import os
import sys
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

EXPORTERS = ("otlp", "console", "none")
ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
PROTOCOL = "http/protobuf"

EXIT_S = 2.0
"""How long the end of a process may wait for a collector."""

API = "opentelemetry.trace"


class Tracer:
    """OpenTelemetry's tracer, with what of its API is used.

    Args:
        provider: of spans.
        is_mine: whether it was set up here, and is ended here.
    """

    def __init__(self, provider: Any, *, is_mine: bool) -> None:
        from opentelemetry import context, trace  # noqa: PLC0415 - only where traces are asked for
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator  # noqa: PLC0415

        self._trace: Any = trace
        self._context: Any = context
        self._w3c = TraceContextTextMapPropagator()
        self._provider = provider
        self._is_mine = is_mine
        self._tracer = provider.get_tracer("understudy")
        self._kinds = {kind.name: kind for kind in trace.SpanKind}
        self.error = trace.Status(trace.StatusCode.ERROR)

    def begin(
        self, name: str, kind: str, parent: str, attributes: Mapping[str, Any], begun_ns: int | None = None
    ) -> Any:
        """A span below the current one, else below `parent`."""
        context = None
        if parent and not self.has_current():
            context = self._w3c.extract({"traceparent": parent})
        return self._tracer.start_span(
            name,
            context,
            kind=self._kinds[kind],
            attributes=attributes,
            start_time=begun_ns,
            record_exception=False,
            set_status_on_exception=False,
        )

    def remote(self, parent: str) -> Any:
        """The span of another process."""
        return self._trace.get_current_span(self._w3c.extract({"traceparent": parent}))

    def current(self) -> Any:
        """The current span, or one that does nothing."""
        return self._trace.get_current_span()

    def has_current(self) -> bool:
        """Whether a trace is under way here, sampled or not."""
        return bool(self.current().get_span_context().is_valid)

    def is_recording(self) -> bool:
        """Whether the current span takes anything."""
        return bool(self.current().is_recording())

    def attach(self, span: Any) -> Any:
        """Make a span the current one."""
        return self._context.attach(self._trace.set_span_in_context(span))

    def detach(self, token: Any) -> None:
        """Make the one before the current one again."""
        self._context.detach(token)

    def traceparent(self, span: Any) -> str:
        """What carries a span to other processes."""
        carrier: dict[str, str] = {}
        self._w3c.inject(carrier, self._trace.set_span_in_context(span))
        return carrier.get("traceparent", "")

    def ids(self) -> dict[str, str]:
        """Of the current span, for logs."""
        found = self.current().get_span_context()
        if not found.is_valid:
            return {}
        return {
            "trace_id": self._trace.format_trace_id(found.trace_id),
            "span_id": self._trace.format_span_id(found.span_id),
        }

    def flush(self, limit_s: float) -> None:
        """Send what is there; the limit is kept here, for the SDK's own is not."""
        if flush := getattr(self._provider, "force_flush", None):
            _within(limit_s, flush)

    def stop(self, limit_s: float) -> None:
        """Send what is left; an application's own way out stays open."""
        if self._is_mine:
            _within(limit_s, self._provider.shutdown)
        else:
            self.flush(limit_s)


def tracer(service: str, instance: str, *, is_ours: bool) -> tuple[Tracer | None, str]:
    """A tracer where one is asked for, and why there is none although that was asked for."""
    if os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return None, ""
    given = _of_application()
    if given is not None:
        return Tracer(given, is_mine=False), ""
    asked, exporter, why = _asked()
    if not exporter:
        return None, why
    try:
        provider = _provider(exporter, service, instance)
    except ImportError:
        return None, f"{asked} asks for traces, but OpenTelemetry is missing: install understudy[tracing]."
    except Exception as error:  # noqa: BLE001 - nothing of OpenTelemetry may keep a worker or a bot from its work
        return None, f"{asked} asks for traces, but OpenTelemetry could not be set up: {type(error).__name__}."
    if is_ours:
        from opentelemetry import trace  # noqa: PLC0415 - it is there

        trace.set_tracer_provider(provider)
    atexit.register(_within, EXIT_S, provider.shutdown)
    return Tracer(provider, is_mine=True), ""


def _of_application() -> Any:
    """The provider of spans that the application has set up, if any; one that did not even import the API has none."""
    api = sys.modules.get(API)
    if api is None and not os.environ.get("OTEL_PYTHON_TRACER_PROVIDER"):
        return None
    try:
        from opentelemetry import trace  # noqa: PLC0415 - it is there, or asked for
    except ImportError:
        return None
    provider = trace.get_tracer_provider()
    return None if isinstance(provider, trace.ProxyTracerProvider | trace.NoOpTracerProvider) else provider


def _asked() -> tuple[str, str, str]:
    """The variable that asks for traces, the exporter it asks for, and what is wrong with that."""
    wanted = os.environ.get("OTEL_TRACES_EXPORTER", "").strip().lower()
    if wanted == "none":
        return "", "", ""
    variable = "OTEL_TRACES_EXPORTER" if wanted else next((name for name in ENDPOINTS if os.environ.get(name)), "")
    if not variable:
        return "", "", ""
    if wanted not in ("", *EXPORTERS):
        return "", "", f"OTEL_TRACES_EXPORTER is {wanted[:40]!r}: it must be {', '.join(EXPORTERS)}; nothing is traced."
    protocol = next((value for name in PROTOCOLS if (value := os.environ.get(name, "").strip())), PROTOCOL)
    if wanted != "console" and protocol != PROTOCOL:
        name = next(name for name in PROTOCOLS if os.environ.get(name, "").strip())
        return "", "", f"{name} is {protocol[:40]!r}: it must be {PROTOCOL}; nothing is traced."
    return variable, wanted or "otlp", ""


def _provider(exporter: str, service: str, instance: str) -> Any:
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415 - only where it is asked for
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter, SpanExporter  # noqa: PLC0415

    sink: SpanExporter
    if exporter == "console":
        sink = ConsoleSpanExporter(out=sys.stderr)
    else:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415

        sink = OTLPSpanExporter()
    named = os.environ.get("OTEL_SERVICE_NAME") or "service.name=" in os.environ.get("OTEL_RESOURCE_ATTRIBUTES", "")
    about = {} if named else {"service.name": service}
    if instance:
        about["service.instance.id"] = instance
    provider = TracerProvider(resource=Resource.create(about), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(sink))
    return provider


def _within(limit_s: float, work: Callable[[], object]) -> None:
    """Do it, or leave it to a thread that dies with the process."""
    thread = threading.Thread(target=_quietly, args=(work,), name="understudy-traces", daemon=True)
    try:
        thread.start()
    except RuntimeError:  # the interpreter is already ending
        return
    thread.join(limit_s)


def _quietly(work: Callable[[], object]) -> None:
    try:
        work()
    except Exception as error:  # noqa: BLE001 - whatever it is, the traces that were left are lost, and nothing else
        logging.getLogger("understudy.tracing").info("traces_lost error=%s", type(error).__name__)
