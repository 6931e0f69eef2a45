"""LiveKit's `console`: a developer's one call, a thread of the worker. The other end of its wire, which is
`lk agent console` (Go, with a sound card) for a developer, is here."""

from __future__ import annotations

import asyncio
import os
import signal
import struct
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from livekit.protocol.agent_pb.agent_session import AgentSessionMessage, SessionRequest
from pymongo import AsyncMongoClient

from infra.local.eventually import eventually
from infra.local.ports import LOOPBACK, free_port
from infra.local.process import Process
from infra.local.servers.mongodb import DATABASE
from infra.local.servers.probes import answers_http
from infra.local.worker import AGENT, Worker
from tests.faults.bench import START_SECONDS, Bench, servers

pytestmark = [pytest.mark.integration, pytest.mark.timeout(400)]

ENDS_BY_ITSELF = Path("tests/integration/agents/yields_nothing.py")
JOB_END_SECONDS = 2
ON_CTRL_C_SECONDS = 30.0


@dataclass
class Wire:
    """Frames of `AgentSessionMessage`, each after its length in four bytes."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def ask(self, request: SessionRequest) -> AgentSessionMessage:
        data = AgentSessionMessage(request=request).SerializeToString()
        self.writer.write(struct.pack(">I", len(data)) + data)
        while True:
            (length,) = struct.unpack(">I", await self.reader.readexactly(4))
            message = AgentSessionMessage()
            message.ParseFromString(await self.reader.readexactly(length))
            if message.HasField("response") and message.response.request_id == request.request_id:
                return message


@asynccontextmanager
async def console(bench: Bench, agent: Path) -> AsyncIterator[tuple[Worker, asyncio.Queue[Wire]]]:
    wires: asyncio.Queue[Wire] = asyncio.Queue()
    run, http, metrics = bench.stack.run, free_port(), free_port()
    slots = run.directory("console/slots")
    environment = bench.environment("console", {"AGENT_JOB_END_SECONDS": str(JOB_END_SECONDS)}) | {
        "AGENT_HOST": LOOPBACK,
        "AGENT_HTTP_PORT": str(http),
        "AGENT_METRICS_PORT": str(metrics),
        "AGENT_SLOT_DIRECTORY": str(slots),
        "PROMETHEUS_MULTIPROC_DIR": str(run.directory("console/metrics")),
    }
    listening = await asyncio.start_server(lambda *ends: wires.put_nowait(Wire(*ends)), LOOPBACK, 0)
    async with listening:
        host, port = listening.sockets[0].getsockname()
        command = [sys.executable, "-m", "livekit.agents", "console", str(agent)]
        connect = ["--connect-addr", f"{host}:{port}"]
        process = run.start("console", [*command, *connect], environment=environment)
        worker = Worker("console", process, http, metrics, slots)
        bench.workers.append(worker)
        try:
            yield worker, wires
        finally:
            bench.workers.remove(worker)
            await run.stop(process)
            while not wires.empty():
                wires.get_nowait().writer.close()


async def ctrl_c(bench: Bench, process: Process) -> str:
    """Its log, once it ended well and nothing of it is left at a datastore."""
    os.kill(process.pid, signal.SIGINT)
    assert await process.exited(within=ON_CTRL_C_SECONDS)
    assert await bench.stack.run.stop(process) == 0
    assert bench.connected() == {"mongodb": 0, "redis": 0}
    return process.log.read_text(errors="replace")


async def test_a_call_in_the_console_is_counted_as_any_other_and_closed_at_ctrl_c(tmp_path: Path) -> None:
    async with servers(tmp_path) as bench, console(bench, AGENT) as (worker, wires):
        async with asyncio.timeout(START_SECONDS):
            wire = await wires.get()
        ears, mouth = SessionRequest.UpdateIO.Input, SessionRequest.UpdateIO.Output
        mute = SessionRequest.UpdateIO(input=ears(audio_enabled=False), output=mouth(audio_enabled=False))
        await wire.ask(SessionRequest(request_id="mute", update_io=mute))
        said = SessionRequest.RunInput(text="is anybody there?")
        answer = await wire.ask(SessionRequest(request_id="line", run_input=said))
        assert "You said: is anybody there?" in str(answer)

        async def told() -> bool:
            gauges = await bench.gauges(worker)
            return gauges.running == 1 and await bench.gauges_are(bench.connected())

        await eventually(told, within=10, what="one call, with its connections")
        assert await answers_http(f"{worker.url}/live")
        assert await bench.ready(worker) == 503, "it is registered nowhere"
        assert not any((await bench.gauges(worker)).outcomes.values())

        log = await ctrl_c(bench, worker.process)
        assert '"outcome": "completed"' in log
        assert not [word for word in ("did not close", "a job died", "ending the process") if word in log]
        async with AsyncMongoClient[dict[str, Any]](bench.stack.mongodb.url) as reader:
            stored = await reader[DATABASE]["transcripts"].find_one()
        assert stored is not None
        assert [m["text"] for m in stored["messages"]][-2:] == [
            "is anybody there?",
            "You said: is anybody there?",
        ]
        wire.writer.close()


async def test_the_console_outlives_its_call(tmp_path: Path) -> None:
    """A job ends with its process elsewhere; here it must leave its slot, and take no last resort, by itself."""
    async with servers(tmp_path) as bench, console(bench, ENDS_BY_ITSELF) as (worker, _):

        async def over() -> bool:
            gauges = await worker.gauges(bench.http)
            return gauges is not None and gauges.outcomes.get("completed") == 1 and gauges.running == 0

        await eventually(over, within=START_SECONDS, what="the call's end")
        assert not await worker.process.exited(within=2 * JOB_END_SECONDS), worker.process.last_lines()
        assert sum((await bench.gauges(worker)).outcomes.values()) == 1
        assert await bench.gauges_are(bench.connected())
        await ctrl_c(bench, worker.process)
