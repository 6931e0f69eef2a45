"""Written as LiveKit's own examples are: no parentheses, `server.setup_fnc`, an entrypoint of the context alone.

Variables: OPTIONED_MARKS, a directory in which each job leaves a file; OPTIONED_SLOW, a file that makes prewarm take
longer than it may (OPTIONED_INITIALIZE_SECONDS) while it is there; OPTIONED_AS, `automatic` or `publisher`.
"""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from livekit.agents import JobContext, JobProcess
from livekit.agents.worker import ServerType

from agent.runtime import LifespanServer

MARKS = Path(os.environ["OPTIONED_MARKS"])


@asynccontextmanager
async def lifespan(_: JobContext) -> AsyncIterator[None]:
    yield


def prewarm(_: JobProcess) -> None:
    while Path(os.environ["OPTIONED_SLOW"]).exists():
        time.sleep(0.1)


async def entrypoint(ctx: JobContext) -> None:
    await ctx.connect()
    told = f"{ctx.job.deployment} {ctx.job.attributes['language']}" if ctx.job.attributes else ""
    (MARKS / f"{ctx.room.name}.{ctx.job.participant.identity}").write_text(told)


seconds = float(os.environ.get("OPTIONED_INITIALIZE_SECONDS", "30"))
server = LifespanServer(lifespan=lifespan, initialize_process_timeout=seconds)
server.setup_fnc = prewarm
match os.environ.get("OPTIONED_AS"):
    case "automatic":
        server.rtc_session(entrypoint, agent_name="")
    case "publisher":
        server.rtc_session(entrypoint, type=ServerType.PUBLISHER)
    case _:
        server.rtc_session(entrypoint)
