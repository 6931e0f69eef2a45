"""An agent as one writes it with Beanie alone: its documents know their client, so its lifespan yields nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

from livekit.agents import JobContext

from agent.models import DOCUMENTS, Transcript
from agent.runtime import LifespanServer
from agent.runtime.datastores.mongodb import mongodb


@asynccontextmanager
async def lifespan(_: JobContext) -> AsyncIterator[None]:
    async with mongodb(DOCUMENTS):
        yield


server = LifespanServer(lifespan=lifespan)


async def save_transcript(ctx: JobContext, _: None) -> None:
    now = datetime.now(UTC)
    await Transcript(
        room=ctx.room.name,
        job_id=ctx.job.id,
        caller_id="ann",
        started_at=now,
        ended_at=now,
        expires_at=now + timedelta(days=1),
        messages=[],
    ).insert()


@server.rtc_session(on_session_end=save_transcript)
async def entrypoint(ctx: JobContext, _: None) -> None:
    await ctx.connect()
    ctx.shutdown("said all there was to say")
