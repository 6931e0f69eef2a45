"""A job or its whole worker dies, watched by two watchers at once, beside a plain AgentServer's; another only ends."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

from livekit import api

from agent.runtime.placing import TAKEOVER_ATTRIBUTE
from infra.local.eventually import together
from infra.local.ports import LOOPBACK
from infra.local.process import Process
from tests.faults.bench import START_SECONDS, Bench
from tests.faults.calls_bench import TALKING, Call, Calls, calls
from tests.faults.patience import eventually
from tests.faults.row import Row, Seen, Stopwatch
from tests.faults.rows_common import log_of
from tests.faults.wrongs import LEAVE, SIGNALLING

# LiveKit misses the agent after 20 s or so; 3 s are waited to be sure, and its successor has to start.
TAKEN_OVER_SECONDS = 60.0
# Far more than a watcher waits before it is sure.
NOBODY_SECONDS = 10.0
METADATA = "who calls"


@asynccontextmanager
async def watchers(bench: Bench, agent_name: str) -> AsyncIterator[None]:
    """Two of them, as processes of their own."""
    async with AsyncExitStack() as stack:
        for number in (1, 2):
            environment = {**bench.stack.environment, "AGENT_NAME": agent_name}
            command = [sys.executable, "-m", "agent.runtime.watch"]
            process = bench.stack.run.start(
                f"watcher-{number}-{agent_name}", command, environment=environment
            )
            stack.push_async_callback(bench.stack.run.stop, process)
            await process.ready(partial(_watches, process), within=START_SECONDS)
        yield


async def _watches(process: Process) -> bool:
    return "watching the calls of" in log_of(process)


async def _named(bench: Bench, room: str) -> list[api.AgentDispatch]:
    """livekit-server adds a dispatch without a name to every room that it makes."""
    return [d for d in await bench.livekit.agent_dispatch.list_dispatch(room) if d.agent_name]


async def _agents(bench: Bench, room: str) -> int:
    there = await bench.livekit.room.list_participants(api.ListParticipantsRequest(room=room))
    return sum(p.kind == api.ParticipantInfo.AGENT for p in there.participants)


async def _taken_over(on: Calls, ours: Call, since: Stopwatch) -> float:
    """Wait until the caller of `ours` is heard by a new job, of which there is one; seconds of silence."""
    assert await ours.speaker.is_heard(TAKEN_OVER_SECONDS), "nobody took over"
    silence = since.seconds
    (dispatch,) = await _named(on.bench, ours.room)
    assert dispatch.metadata == METADATA
    assert dispatch.attributes[TAKEOVER_ATTRIBUTE].startswith("AJ_"), "the new job learns whose call it is"
    assert await _agents(on.bench, ours.room) == 1
    return silence


async def job_killed(on: Calls) -> Seen:
    async with watchers(on.bench, on.ours.name):
        ours, plain = await on.talking(metadata=METADATA)
        try:
            since = Stopwatch()
            for call in (ours, plain):
                os.kill(call.pid, signal.SIGKILL)
            silence = await _taken_over(on, ours, since)
            beside = "goes on" if await plain.speaker.is_heard(NOBODY_SECONDS) else "silence for good"
            return Seen("taken over", {"silence": silence}, "two watchers placed one agent", plain=beside)
        finally:
            await on.clear(ours, plain)


async def worker_killed(on: Calls) -> Seen:
    """The main process of a worker, of which the agent has another: jobs of the first end by themselves."""
    name = "dying"
    async with calls(on.bench, name) as two:
        through = {SIGNALLING: f"ws://{LOOPBACK}:{two.agents.port}", "AGENT_NAME": name}
        async with (
            on.bench.worker(f"{name}-too", through, entrypoint=TALKING) as second,
            watchers(on.bench, name),
        ):
            ours, plain = await two.talking(metadata=METADATA)
            try:
                first = next(w for w in (two.ours, second) if ours.pid in on.bench.owners(w).values())
                since = Stopwatch()
                for process in (first.process, two.plain):
                    os.kill(process.pid, signal.SIGKILL)
                await eventually(lambda: not (ours.runs or plain.runs), within=20, what="their jobs gone")
                alone = since.seconds
                silence = await _taken_over(on, ours, since)
                beside = "goes on" if await plain.speaker.is_heard(NOBODY_SECONDS) else "silence for good"
                seen = {"jobs gone": alone, "silence": silence}
                return Seen("taken over", seen, "by the agent's other worker", plain=beside)
            finally:
                await two.clear(ours, plain)


async def ended_on_purpose(on: Calls) -> Seen:
    """The agent leaves by `ctx.shutdown()` while its caller stays: nobody wants another."""
    async with watchers(on.bench, on.ours.name):
        ours, plain = await on.talking(metadata=METADATA)
        try:
            await together(c.speaker.room.local_participant.publish_data(LEAVE) for c in (ours, plain))
            await eventually(lambda: not ours.runs, within=30, what="the job gone")
            assert await _named(on.bench, ours.room) == []
            assert not await ours.speaker.is_heard(NOBODY_SECONDS), "an agent came that nobody wanted"
            return Seen("ended", note="its dispatch went with it; no agent came", plain="ended")
        finally:
            await on.clear(ours, plain)


ROWS: list[Row[Calls]] = [
    Row(
        "SIGKILL of the job, two watchers",
        "silence, until LiveKit misses the agent (about 20 s) and another one is there",
        "job killed; the watcher's log names both jobs",
        job_killed,
    ),
    Row(
        "SIGKILL of the worker's main process, two watchers",
        "silence, until LiveKit misses the agent (about 20 s) and another one is there",
        "the pod restarts; the watcher's log names both jobs",
        worker_killed,
    ),
    Row(
        "the agent ends its call while the caller stays, two watchers",
        "the agent leaves; no other comes",
        "job completed",
        ended_on_purpose,
    ),
]
