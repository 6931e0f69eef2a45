"""Spans reach a collector, log lines name their call, and a collector that is away delays nobody."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from agent.runtime import trace_export
from agent.runtime.dispatch import place_call
from agent.runtime.errors import SettingsError
from infra.local import stack as stacks
from infra.local import worker as workers
from infra.local.__main__ import STACK_FILE, solved
from infra.local.caller import Caller, Outcome
from infra.local.eventually import eventually
from infra.local.ports import LOOPBACK, free_port
from infra.local.run import Run
from infra.local.stack import Stack
from tests.integration.otlp_receiver import OtlpReceiver, otlp_receiver

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]


def silent(_: str) -> None:
    pass


async def one_call(stack: Stack, room: str) -> None:
    caller = Caller(stack.line, room, ["Hello?"], pause_seconds=0)
    async with stack.line.api() as livekit:
        result = await caller.call(livekit)
    assert result.outcome is Outcome.ANSWERED, result.detail


async def no_slot_is_owned(stack: Stack, within: float) -> None:
    await eventually(lambda: not any(stack.kernel.sample().slots.values()), within=within, what="slots free")


def lines(log: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]


async def test_a_call_leaves_spans_and_log_lines_that_name_it(tmp_path: Path) -> None:
    solution, count = solved(STACK_FILE, workers=1, slots=1)
    async with otlp_receiver() as received, Run("test-telemetry", tmp_path) as run:
        to_it = {"OTEL_EXPORTER_OTLP_ENDPOINT": received.url}
        async with stacks.running(run, solution, workers=count, say=silent, pipeline=to_it) as stack:
            await one_call(stack, "traced-call")
            await no_slot_is_owned(stack, within=30)
            await stack.stop_workers(within=60)
            await eventually(
                lambda: len(received.named("datastore close")) == 4,
                within=10,
                what="spans of a job and a worker",
            )
    check_spans(received)
    logged = lines(tmp_path / "logs" / "worker-1.log")
    (closed,) = [line for line in logged if line["message"] == "job closed"]
    assert (closed["room"], closed["slot"]) == ("traced-call", "slot0")
    assert closed["job_id"].startswith("AJ_")
    check_lines(logged, closed["pid"])


def check_lines(logged: list[dict[str, Any]], pid: int) -> None:
    """Not only our own: from the first that has a slot on, whatever the job's process says names the call."""
    # The worker says a line about it too, with its pid, and does not know the slot.
    of_the_job = [
        line
        for line in logged
        if line.get("pid") == pid and not line["code.file.path"].endswith("/supervised_proc.py")
    ]
    assert len({line["message"] for line in of_the_job}) > 1
    first = next(number for number, line in enumerate(of_the_job) if "slot" in line)
    nameless = [line for line in of_the_job[first:] if not line.keys() >= {"job_id", "room", "slot"}]
    assert nameless == []


async def test_a_line_names_its_call_also_when_the_job_is_over(tmp_path: Path) -> None:
    solution, _ = solved(STACK_FILE, workers=1, slots=1)
    async with (
        Run("test-telemetry", tmp_path) as run,
        stacks.running(run, solution, workers=0, say=silent) as stack,
        stack.line.api() as livekit,
    ):
        agent = Path("tests/integration/agents/last_word.py")
        environment = {**stack.environment, "AGENT_NAME": "speaks-last"}
        worker = await workers.start(run, "speaks-last", environment, entrypoint=agent)
        await place_call(livekit, agent_name="speaks-last", room="over")
        said = worker.process.log
        await eventually(lambda: "a last word" in said.read_text(), within=30, what="the last word")
        check_lines(lines(said), next(one["pid"] for one in lines(said) if one["message"] == "a last word"))


def check_spans(received: OtlpReceiver) -> None:
    for what in ("datastore open", "datastore close"):
        spans = received.named(what)
        assert sorted((s.attributes["db.system.name"], s.attributes["agent.lifespan"]) for s in spans) == [
            ("mongodb", "job"),
            ("mongodb", "worker"),
            ("redis", "job"),
            ("redis", "worker"),
        ]
    (job,) = received.named("job_entrypoint")  # LiveKit's own
    assert job.attributes["agent.slot"] == "slot0"
    for span in (*received.named("datastore open"), *received.named("datastore close")):
        assert span.service == stacks.AGENT_NAME
        if span.attributes["agent.lifespan"] == "job":
            assert span.span.trace_id == job.span.trace_id
            assert job.span.start_time_unix_nano <= span.span.start_time_unix_nano


async def test_a_collector_that_is_away_holds_no_slot(tmp_path: Path) -> None:
    solution, count = solved(STACK_FILE, workers=1, slots=1)
    to_nobody = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{LOOPBACK}:{free_port()}"}
    async with (
        Run("test-telemetry", tmp_path) as run,
        stacks.running(run, solution, workers=count, say=silent, pipeline=to_nobody) as stack,
    ):
        await one_call(stack, "untraced-call")
        # 2 s for LiveKit to tell of the hang-up, the job's own end, and at most EXPORT_SECONDS for its last spans.
        await no_slot_is_owned(stack, within=15)


def test_a_protocol_that_is_not_spoken_is_refused_by_name() -> None:
    asked = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4317", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}
    with pytest.raises(SettingsError, match=r"OTEL_EXPORTER_OTLP_PROTOCOL='grpc': accepted: http/protobuf"):
        trace_export.configured(asked)
    assert not trace_export.configured({"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"})
