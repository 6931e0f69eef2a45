"""An agent that notes, in its own shutdown callbacks, that the call is over; one of them fails."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from livekit.agents import JobContext
from pymongo.asynchronous.database import AsyncDatabase

from agent.runtime import LifespanServer
from agent.runtime.datastores.mongodb import mongodb

Database = AsyncDatabase[dict[str, Any]]


@asynccontextmanager
async def lifespan(ctx: JobContext) -> AsyncIterator[Database]:
    async with mongodb() as database:

        async def of_the_lifespan() -> None:
            await database["ends"].insert_one({"of": "lifespan", "room": ctx.room.name})

        ctx.add_shutdown_callback(of_the_lifespan)
        yield database


server = LifespanServer(lifespan=lifespan)


@server.rtc_session()
async def entrypoint(ctx: JobContext, database: Database) -> None:
    async def fails() -> None:
        raise RuntimeError("a callback of the user's own")

    async def of_the_entrypoint(reason: str) -> None:
        await database["ends"].insert_one({"of": "entrypoint", "reason": reason})

    ctx.add_shutdown_callback(fails)
    ctx.add_shutdown_callback(of_the_entrypoint)
    await ctx.connect()
    ctx.shutdown("said all there was to say")
