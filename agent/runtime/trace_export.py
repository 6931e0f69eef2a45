"""Where a process's OpenTelemetry spans go.

LiveKit agents already carry OpenTelemetry, so a span goes wherever LiveKit's go: to the provider a user has set, to
LiveKit Cloud, or, where the standard variables name a collector, to that one by OTLP over HTTP.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from multiprocessing.util import Finalize

from livekit.agents.telemetry import set_tracer_provider
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from agent.runtime.errors import SettingsError

ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
# A job's last spans are sent while its process ends, with the slot still held: a collector that does not answer must
# not hold it for the exporter's own 10 s.
EXPORT_SECONDS = 2.0


def configured(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether the environment names an OTLP endpoint.

    Raises:
        SettingsError: with a protocol that is not spoken here.
    """
    if not any(environ.get(name) for name in ENDPOINTS) or environ.get("OTEL_SDK_DISABLED") == "true":
        return False
    for name in PROTOCOLS:
        if (protocol := environ.get(name)) and protocol != "http/protobuf":
            raise SettingsError(f"environment: {name}={protocol!r}: accepted: http/protobuf")
    return True


def install(service: str) -> None:
    """Send this process's spans to the configured endpoint, unless the process has a global provider.

    Called once in each process, before its first span. The process's end closes it, within `EXPORT_SECONDS`.

    Args:
        service: `service.name`, where OTEL_SERVICE_NAME gives none.
    """
    if not configured() or isinstance(trace.get_tracer_provider(), TracerProvider):
        return
    name = os.environ.get("OTEL_SERVICE_NAME") or service
    provider = TracerProvider(resource=Resource.create({SERVICE_NAME: name}), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(timeout=EXPORT_SECONDS)))
    # Not atexit: a job's process comes from multiprocessing's fork server, which runs its own finalizers only.
    Finalize(None, provider.shutdown, exitpriority=0)
    set_tracer_provider(provider)
