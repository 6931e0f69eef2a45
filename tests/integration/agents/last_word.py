"""Leaves a task behind that speaks when it is cut off, which is after LiveKit is done with the job."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from livekit.agents import JobContext

from agent.runtime import LifespanServer


@asynccontextmanager
async def lifespan(_: JobContext) -> AsyncIterator[None]:
    yield


async def speak_last() -> None:
    try:
        await asyncio.Event().wait()
    finally:
        logging.getLogger("hotel").warning("a last word")


server = LifespanServer(lifespan=lifespan)


@server.rtc_session()
async def entrypoint(ctx: JobContext, _: None) -> None:
    ctx.proc.userdata["left behind"] = asyncio.create_task(speak_last())
    await ctx.connect()
    ctx.shutdown("said all there was to say")
