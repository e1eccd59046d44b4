"""Tracing in one process: off and not even imported by default, and what turns it on."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.support.worker import ROOT
from understudy import tracing
from understudy.state.lua import Reply
from understudy.state.record import Record
from workers.redispatch import publish_of

SPAN = """
with tracing.span("call moderation", "CLIENT", attributes={"a": "b"}) as span:
    print(bool(span.traceparent))
"""
LOADED = "import sys; print([name for name in sys.modules if name.startswith(TRACES)])"
START = "from understudy import tracing; print(tracing.start('bot'), tracing.is_on())"
MISSING = "import sys; sys.modules['opentelemetry'] = None"


def run(*lines: str, **environment: str) -> list[str]:
    """What a process of its own prints, with these variables."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(lines)],
        env={**clean, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_by_default_a_bot_imports_nothing_and_a_span_is_nothing() -> None:
    assert run("import bot_client", START, SPAN, "TRACES = 'opentelemetry'", LOADED) == [" False", "False", "[]"]


def test_by_default_a_worker_loads_nothing_that_traces() -> None:
    # redis-py imports the API, and the part of the SDK that measures, wherever they are installed
    traces = "TRACES = ('opentelemetry.sdk.trace', 'opentelemetry.exporter', 'opentelemetry.proto')"
    assert run("import workers.runtime, tasks.moderation", START, traces, LOADED) == [" False", "[]"]


def test_nothing_needs_opentelemetry_to_be_installed() -> None:
    assert run(MISSING, "import bot_client, workers.runtime", START, SPAN) == [" False", "False"]


def test_asked_for_without_its_packages_it_says_what_to_install() -> None:
    said = run(MISSING, START, OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:4318")
    assert said == [
        "OTEL_EXPORTER_OTLP_ENDPOINT asks for traces, but OpenTelemetry is missing: install understudy[tracing]. False"
    ]


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}, " True"),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:1/v1/traces"}, " True"),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, " True"),
        ({"OTEL_TRACES_EXPORTER": "console"}, " True"),
        ({"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}, " False"),
        ({"OTEL_SDK_DISABLED": "true", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}, " False"),
        (
            {"OTEL_TRACES_EXPORTER": "zipkin"},
            "OTEL_TRACES_EXPORTER is 'zipkin': it must be otlp, console, none; nothing is traced. False",
        ),
        (
            {"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
            "OTEL_EXPORTER_OTLP_PROTOCOL is 'grpc': it must be http/protobuf; nothing is traced. False",
        ),
    ],
)
def test_the_environment_decides(environment: dict[str, str], said: str) -> None:
    assert run(START, "tracing.stop(0.1)", **environment) == [said]


def test_what_an_application_has_set_up_is_used_and_its_span_is_the_parent() -> None:
    own = """
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter
from understudy import tracing
class Kept(SpanExporter):
    def export(self, spans):
        for span in spans:
            print(span.name, span.parent and format(span.parent.span_id, "x") == parent, span.status.status_code.name)
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(Kept()))
trace.set_tracer_provider(provider)
tracing.start("bot")
with trace.get_tracer("bot").start_as_current_span("update") as mine:
    parent = format(mine.get_span_context().span_id, "x")
    try:
        with tracing.span("call moderation"):
            raise ValueError("what a user wrote")
    except ValueError:
        pass
    with tracing.span("left") as left:
        left.drop()
"""
    assert run(own) == ["call moderation True ERROR", "update None UNSET"]


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", True),
        ("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more", False),
        ("", False),
        (None, False),
        (["00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"], False),
        ("what a user wrote, as long as a header of this kind is..", False),
    ],
)
def test_a_header_that_is_no_traceparent_is_passed_over(given: object, read: bool) -> None:
    assert tracing.header_of({"traceparent": given}) == (given if read else "")
    assert tracing.header_of({}) == ""


def test_a_record_of_a_version_without_traces_reads_and_its_message_carries_none() -> None:
    raw = {"v": "1", "st": "Q", "kind": "moderation", "request": "{}", "deadline": "1", "created": "0"}
    assert Record.read("c", raw).trace == ""
    assert publish_of(Reply.of(["publish", "queue", "ollama", "sent", 1, "kind", "moderation"]), "c").trace == ""
