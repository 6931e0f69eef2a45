"""Two calls side by side, one of ours and one of a plain AgentServer, that the same fault meets; callers that speak."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Self

from livekit import api

from infra.local.eventually import together
from infra.local.ports import LOOPBACK, free_port
from infra.local.process import Process
from infra.local.processes import alive
from infra.local.rooms import new_room
from infra.local.worker import COMMAND, Worker
from tests.faults.bench import START_SECONDS, Bench
from tests.faults.patience import eventually
from tests.faults.proxy import Proxy
from tests.faults.rows_common import log_of
from tests.faults.wrongs import HASTE, MARKS, PLAIN, SIGNALLING, Point

TALKING = Path("tests/faults/agents/talking.py")
# LiveKit's own clients try a connection anew for longer.
HEARD_SECONDS = 40.0
# Above what any row waits: nothing but its fault ends a call.
MAX_CALL_SECONDS = 1800
IDENTITY = "caller"


class Speaker:
    """A caller in a room, over the callers' proxy."""

    def __init__(self) -> None:
        self.room = new_room()
        self._heard: set[bytes] = set()
        self._numbers = count()
        self.room.on("data_received", lambda packet: self._heard.add(packet.data))

    async def join(self, calls: Calls, room: str, identity: str = IDENTITY) -> Self:
        await self.room.connect(calls.callers_url, calls.bench.stack.line.token(room, identity))
        return self

    async def is_heard(self, within: float = HEARD_SECONDS) -> bool:
        """Whether the agent repeats something said from now on."""
        said = f"hello {next(self._numbers)}".encode()

        async def repeated() -> bool:
            with contextlib.suppress(Exception):  # while it reconnects; asked again
                await self.room.local_participant.publish_data(said)
            return said in self._heard

        try:
            await eventually(repeated, within=within, what="an answer", every=0.2)
        except TimeoutError:
            return False
        return True


@dataclass
class Call:
    """A call of one of the two, in which an agent waits or talks."""

    room: str
    pid: int
    speaker: Speaker = field(default_factory=Speaker)

    @property
    def runs(self) -> bool:
        return alive(self.pid)


@dataclass
class Calls:
    """The bench, a worker of each kind, and proxies before livekit-server: for workers, for their jobs, for callers."""

    bench: Bench
    ours: Worker
    plain: Process
    plain_port: int
    control: Proxy
    agents: Proxy
    callers: Proxy
    _names: count[int] = field(default_factory=lambda: count(1))

    @property
    def callers_url(self) -> str:
        return f"ws://{LOOPBACK}:{self.callers.port}"

    async def placed(self, worker: Worker | None = None, metadata: str = "") -> tuple[Call, Call]:
        """A call of ours and one of the plain worker, each with nobody else in it yet."""
        number = next(self._names)
        ours, plain = await together(
            self._place(name, f"{name}-call-{number}", metadata)
            for name in ((worker or self.ours).name, self.plain.name)
        )
        return ours, plain

    async def talking(self, worker: Worker | None = None, metadata: str = "") -> tuple[Call, Call]:
        """The same, with a caller in each who is heard."""
        calls = await self.placed(worker, metadata)
        await together(call.speaker.join(self, call.room) for call in calls)
        heard = await together(call.speaker.is_heard(START_SECONDS) for call in calls)
        assert all(heard), "the caller is heard before anything happens"
        # LiveKit tells of a participant up to 2 s later; who leaves before raises no event at all.
        await together(self.bench.reached(call.room, Point.CALLER) for call in calls)
        return calls

    async def _place(self, name: str, room: str, metadata: str) -> Call:
        request = api.CreateAgentDispatchRequest(agent_name=name, room=room, metadata=metadata)
        await self.bench.livekit.agent_dispatch.create_dispatch(request)
        return Call(room, await self.bench.reached(room, Point.IN_THE_CALL))

    async def ended(self, worker: Worker | None = None) -> dict[str, int]:
        """How the calls of ours ended so far."""
        return (await self.bench.gauges(worker or self.ours)).ended

    async def clear(self, *calls: Call) -> None:
        """Nobody and nothing is left of these calls."""
        for call in calls:
            await call.speaker.room.disconnect()
            with contextlib.suppress(api.ServerError):  # it went by itself
                await self.bench.livekit.room.delete_room(api.DeleteRoomRequest(room=call.room))
        await eventually(lambda: not any(c.runs for c in calls), within=60, what="both jobs gone")


@asynccontextmanager
async def calls(bench: Bench, name: str = "talking", haste: float = 1) -> AsyncIterator[Calls]:
    """A worker of each kind on the servers of `bench`.

    Args:
        haste: LiveKit's pauses between attempts to register are divided by it.
    """
    port = bench.stack.livekit.port
    async with Proxy(port) as control, Proxy(port) as agents, Proxy(port) as callers:
        through = {
            "LIVEKIT_URL": f"ws://{LOOPBACK}:{control.port}",
            SIGNALLING: f"ws://{LOOPBACK}:{agents.port}",
            HASTE: str(haste),
            "AGENT_MAX_CALL_SECONDS": str(MAX_CALL_SECONDS),
        }
        plain_port = free_port()
        async with (
            bench.worker(name, through, entrypoint=TALKING) as ours,
            _plain(bench, f"plain-{name}", plain_port, through) as plain,
        ):
            yield Calls(bench, ours, plain, plain_port, control, agents, callers)


@asynccontextmanager
async def _plain(bench: Bench, name: str, port: int, through: dict[str, str]) -> AsyncIterator[Process]:
    own = {"AGENT_NAME": name, "AGENT_HOST": LOOPBACK, "AGENT_HTTP_PORT": str(port), PLAIN: "1"}
    environment = {**bench.stack.environment, MARKS: str(bench.marks), **own, **through}
    process = bench.stack.run.start(name, [*COMMAND, TALKING], environment=environment)

    async def registered() -> bool:
        return "registered worker" in log_of(process)

    try:
        await process.ready(registered, within=START_SECONDS)
        yield process
    finally:
        await bench.stack.run.stop(process)


@asynccontextmanager
async def caller_process(calls: Calls, call: Call) -> AsyncIterator[Process]:
    """A caller in a process of his own, which can be killed; he is in the room, and the agent saw him."""
    line = calls.bench.stack.line
    environment = {"CALLER_URL": line.url, "CALLER_TOKEN": line.token(call.room, IDENTITY)}
    command = [sys.executable, "-m", "tests.faults.agents.calling"]
    process = calls.bench.stack.run.start(f"caller-{call.room}", command, environment=environment)
    try:
        await calls.bench.reached(call.room, Point.CALLER)
        yield process
    finally:
        await calls.bench.stack.run.stop(process)


def kill(process: Process) -> None:
    os.kill(process.pid, 9)
