"""An agent that repeats what it is sent, so that a caller knows that the call goes on; twice: as a LifespanServer, and
as the plain AgentServer of LiveKit that it is measured against (FAULTS_PLAIN).
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from livekit import rtc
from livekit.agents import NOT_GIVEN, Agent, AgentServer, AgentSession, JobContext, worker
from livekit.agents.job import DEFAULT_PARTICIPANT_KINDS
from livekit.agents.voice.room_io import RoomOptions

from agent.runtime import LifespanServer
from agent.runtime.scripted_llm import ScriptedLLM
from tests.faults.wrongs import HASTE, LEAVE, PLAIN, SIGNALLING, TRANSFERS, Point, mark

# LiveKit computes the pause between two attempts to register as min(attempts * 2, 10).
haste = float(os.environ.get(HASTE, "1"))
worker.min = lambda *numbers: min(*numbers) / haste  # type: ignore[attr-defined]


async def talk(ctx: JobContext) -> None:
    """Connected, and back at once: what a session does goes on behind the entrypoint."""
    room, replies = ctx.job.room.name, set[asyncio.Task[None]]()

    def repeat(packet: rtc.DataPacket) -> None:
        if packet.data == LEAVE:
            ctx.shutdown("asked to")
            return
        reply = asyncio.create_task(ctx.room.local_participant.publish_data(packet.data))
        replies.add(reply)
        reply.add_done_callback(replies.discard)

    def joined(participant: rtc.RemoteParticipant) -> None:
        if participant.kind in DEFAULT_PARTICIPANT_KINDS:
            mark(room, Point.CALLER, os.getpid())

    ctx.room.on("data_received", repeat)
    ctx.room.on("participant_connected", joined)
    ctx._info.url = os.environ[SIGNALLING]
    await ctx.connect()
    if ctx.job.metadata == TRANSFERS:
        session = AgentSession[None](
            llm=ScriptedLLM(), stt=NOT_GIVEN, tts=NOT_GIVEN, vad=None, turn_handling={"turn_detection": None}
        )
        options = RoomOptions(audio_input=False, audio_output=False, close_on_disconnect=False)
        await session.start(Agent(instructions="Wait."), room=ctx.room, room_options=options)
    mark(room, Point.IN_THE_CALL, os.getpid())


async def talk_with_a_lifespan(ctx: JobContext, _: None) -> None:
    await talk(ctx)


async def lost(ctx: JobContext, _: None) -> None:
    mark(ctx.job.room.name, Point.LOST, os.getpid())


async def back(ctx: JobContext, _: None) -> None:
    mark(ctx.job.room.name, Point.BACK, os.getpid())


@asynccontextmanager
async def lifespan(_: JobContext) -> AsyncIterator[None]:
    yield


def ours() -> AgentServer:
    server = LifespanServer(lifespan=lifespan)
    server.rtc_session(on_caller_lost=lost, on_caller_back=back)(talk_with_a_lifespan)
    return server


def idle(_: AgentServer) -> float:
    return 0.0


def plain() -> AgentServer:
    server = AgentServer(
        host=os.environ["AGENT_HOST"],
        port=int(os.environ["AGENT_HTTP_PORT"]),
        num_idle_processes=1,
        load_fnc=idle,  # the machine's load, LiveKit's default, would have it refuse calls on a busy one
    )
    server.rtc_session(talk, agent_name=os.environ["AGENT_NAME"])
    return server


server = plain() if os.environ.get(PLAIN) else ours()
