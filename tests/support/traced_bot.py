"""A bot that traces: it asks once for each line of JSON on its command line, and prints what came of each.

With `own` as the first word it has set OpenTelemetry up itself, and each question stands in a span of its own.
"""

from __future__ import annotations

import asyncio
import json
import sys
from contextlib import nullcontext
from typing import Any

from bot_client import Understudy
from understudy.errors import CallError


def own_tracer() -> Any:
    """OpenTelemetry as a bot sets it up."""
    from opentelemetry import trace
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    return trace.get_tracer("bot")


async def main(mode: str, questions: list[str]) -> None:
    """Ask."""
    tracer = own_tracer() if mode == "own" else None
    async with Understudy.from_settings() as llm:
        for question in questions:
            request = json.loads(question)
            with tracer.start_as_current_span("update") if tracer else nullcontext():
                call = await llm.submit(request.pop("kind"), request.pop("request"), **request)
                try:
                    outcome = await call
                    said = {"status": outcome.status.value, "provider": outcome.provider}
                except CallError as error:
                    said = {"status": "failed", "provider": type(error).__name__}
            print(json.dumps({"id": call.id, **said}), flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2:]))
