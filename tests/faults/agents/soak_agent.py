"""A job of the soak; nothing is wrong with it. It opens both datastores, asks both for more at once than its pools
hold, stays a moment and ends itself, without any room being joined; it fails where its metadata says so. Where it has
a caller, it joins the room and repeats what he says, with its pid, until he hangs up.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from beanie.operators import Inc, Set
from livekit import rtc
from livekit.agents import JobContext
from redis.asyncio import Redis

from agent.models import DOCUMENTS, Caller, session_key
from agent.runtime import LifespanServer
from agent.runtime.datastores.mongodb import mongodb
from agent.runtime.datastores.mongodb_indexes import check_indexes
from agent.runtime.datastores.redis import redis
from tests.faults.soak_job import Asked

# Five times a pool of 2: what does not fit waits for the pool instead of opening a connection.
BURST = 10
# Upserts go to this many documents, so that the database has the same size after 100 jobs and after 10 000.
CALLERS = 16


@asynccontextmanager
async def lifespan(_: JobContext) -> AsyncIterator[Redis]:
    async with mongodb(DOCUMENTS), redis() as cache:
        yield cache


@asynccontextmanager
async def worker_lifespan() -> AsyncIterator[None]:
    async with mongodb(DOCUMENTS), redis():
        await check_indexes(DOCUMENTS)
        yield


server = LifespanServer(lifespan=lifespan, worker_lifespan=worker_lifespan)


async def remember(caller_id: str) -> None:
    now = datetime.now(UTC)
    await Caller.find_one(Caller.caller_id == caller_id).upsert(
        Inc({Caller.calls: 1}),
        Set({Caller.last_seen: now}),
        on_insert=Caller(caller_id=caller_id, calls=1, first_seen=now, last_seen=now),
    )


async def answer(ctx: JobContext) -> None:
    """Connected, and back at once: the call goes on behind the entrypoint."""
    replies = set[asyncio.Task[None]]()

    def repeat(packet: rtc.DataPacket) -> None:
        said = f"{os.getpid()} {packet.data.decode()}".encode()
        reply = asyncio.create_task(ctx.room.local_participant.publish_data(said))
        replies.add(reply)
        reply.add_done_callback(replies.discard)

    ctx.room.on("data_received", repeat)
    await ctx.connect()


@server.rtc_session()
async def entrypoint(ctx: JobContext, cache: Redis) -> None:
    asked = Asked.model_validate_json(ctx.job.metadata)
    caller_id = f"soak-{asked.number % CALLERS}"
    key = session_key(caller_id)
    await remember(caller_id)
    await asyncio.gather(
        *(Caller.find_one(Caller.caller_id == caller_id) for _ in range(BURST)),
        *(cache.hincrby(key, "turns", 1) for _ in range(BURST)),
    )
    if asked.caller:
        await answer(ctx)
        return
    await asyncio.sleep(asked.stay_seconds)
    if asked.fail:
        raise RuntimeError("failed because the soak asked for it")
    ctx.shutdown(reason="done")
