"""All that is told of a datastore that does not open: by the error, logs at DEBUG, spans and metrics."""

from __future__ import annotations

import logging
import traceback
from contextlib import AbstractAsyncContextManager

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client import REGISTRY, generate_latest

from agent.runtime import tracing
from agent.runtime.errors import AgentRuntimeError


async def everything_told(
    opened: AbstractAsyncContextManager[object],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> str:
    """Tracebacks quote lines of code, not values; so what is in a value appears only if somebody told it."""
    spans = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    monkeypatch.setattr(tracing, "_tracer", lambda: provider.get_tracer("test"))
    caplog.set_level(logging.DEBUG)
    told = ""
    try:
        async with opened:
            pytest.fail("there is no server")
    except AgentRuntimeError as error:
        told = "".join(traceback.format_exception(error)) + repr(error)
        logging.getLogger("agent.runtime").exception("as a job would")
    told += caplog.text + repr([vars(record) for record in caplog.records])
    told += "".join(span.to_json() for span in spans.get_finished_spans())
    return told + generate_latest(REGISTRY).decode()
