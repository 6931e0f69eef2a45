"""OpenTelemetry spans of opening and closing datastores, inside LiveKit's own of the job."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager

from opentelemetry import trace
from opentelemetry.trace import Span, Status, StatusCode, Tracer


def datastore_span(what: str, datastore: str, lifespan: str) -> AbstractContextManager[Span]:
    """A span `datastore open` or `datastore close`, current while it lasts; free where nobody collects it."""
    attributes = {"db.system.name": datastore, "agent.lifespan": lifespan}
    return _tracer().start_as_current_span(f"datastore {what}", attributes=attributes)


def failed(span: Span, why: str) -> None:
    span.set_status(Status(StatusCode.ERROR, why))


def _tracer() -> Tracer:
    """LiveKit's own where the process has it, for its provider need not be the global one.

    An API has none: LiveKit's agents take seconds to import.
    """
    agents = sys.modules.get("livekit.agents.telemetry")
    return agents.tracer if agents else trace.get_tracer("agent-datastores")
