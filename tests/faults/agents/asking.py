"""An agent that asks both datastores five times a second for as long as its call lasts, and notes what it got.

It does nothing wrong: an operation that fails is noted and the next one tried, as a careful agent would. One JSON line
per operation goes to `<room>.operations` in the directory FAULTS_MARKS: see `tests.faults.operations.Operation`.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from livekit.agents import JobContext
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import PyMongoError
from redis.asyncio import Redis
from redis.backoff import ExponentialBackoff
from redis.exceptions import RedisError

from agent.models import DOCUMENTS
from agent.runtime import LifespanServer
from agent.runtime.datastores import redis_url
from agent.runtime.datastores.mongodb import mongodb
from agent.runtime.datastores.redis import redis
from tests.faults.operations import Operation, note
from tests.faults.wrongs import NO_JITTER, Point, mark

EVERY_SECONDS = 0.2

if os.environ.get(NO_JITTER):
    redis_url.EqualJitterBackoff = ExponentialBackoff  # type: ignore[attr-defined,assignment]


@dataclass
class Both:
    mongodb: AsyncDatabase[dict[str, Any]]
    redis: Redis


@asynccontextmanager
async def lifespan(_: JobContext) -> AsyncIterator[Both]:
    async with mongodb(DOCUMENTS) as database, redis() as cache:
        yield Both(database, cache)


@asynccontextmanager
async def worker_lifespan() -> AsyncIterator[None]:
    async with mongodb(DOCUMENTS), redis():
        yield


server = LifespanServer(lifespan=lifespan, worker_lifespan=worker_lifespan)


async def ask(room: str, datastore: str, operation: Callable[[], Awaitable[object]]) -> None:
    while True:
        began, error = time.monotonic(), ""
        try:
            await operation()
        except (PyMongoError, RedisError, OSError) as failure:
            # PyMongo raises a private kind of AutoReconnect where its monitor gave a server up.
            error = next(kind.__name__ for kind in type(failure).__mro__ if not kind.__name__.startswith("_"))
        note(room, Operation(datastore, began, time.monotonic(), error))
        await asyncio.sleep(EVERY_SECONDS)


@server.rtc_session()
async def entrypoint(ctx: JobContext, both: Both) -> None:
    await ctx.connect()
    room = ctx.room.name
    mark(room, Point.IN_THE_CALL, os.getpid())

    async def insert() -> None:
        await both.mongodb["asked"].insert_one({"room": room})

    async with asyncio.TaskGroup() as group:
        group.create_task(ask(room, "mongodb", insert))
        group.create_task(ask(room, "redis", lambda: both.redis.incr(room)))
