"""An agent whose worker lifespan does what FAULTS_WORKER names; it leaves a file for every point that it reached."""

from __future__ import annotations

import asyncio
import os
import resource
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from pathlib import Path

from livekit.agents import JobContext

from agent.runtime import LifespanServer
from agent.runtime.datastores.redis import redis
from tests.faults.wrongs import MARKS, OPEN_FILES, Point, WorkerWrong, mark, marked

NAME = "worker"

if files := os.environ.get(OPEN_FILES):
    resource.setrlimit(resource.RLIMIT_NOFILE, (int(files), int(files)))


async def dies() -> None:
    # Told by a file, so that the death comes in mid-life and not at some moment of the start.
    asked = marked(Path(os.environ[MARKS]), NAME, Point.HELPER)
    while not asked.exists():  # noqa: ASYNC110  # a file has no event
        await asyncio.sleep(0.05)
    raise RuntimeError("the worker lifespan's own task died")


@asynccontextmanager
async def worker_lifespan() -> AsyncIterator[None]:
    what = WorkerWrong(os.environ["FAULTS_WORKER"])
    mark(NAME, Point.OPENING, os.getpid())
    async with redis() as cache:
        await cache.ping()
        if what is WorkerWrong.RAISES_BEFORE_YIELD:
            raise RuntimeError("the worker lifespan raised before its yield")
        if what is WorkerWrong.OPEN_HANGS:
            await asyncio.Event().wait()
        async with asyncio.TaskGroup() as group:
            if what is WorkerWrong.DIES:
                group.create_task(dies())
            yield
        mark(NAME, Point.LEAVING, os.getpid())
        if what is WorkerWrong.RAISES_AFTER_YIELD:
            raise RuntimeError("the worker lifespan raised after its yield")


def lifespan(_: JobContext) -> nullcontext[None]:
    return nullcontext()


server = LifespanServer(lifespan=lifespan, worker_lifespan=worker_lifespan)


@server.rtc_session()
async def entrypoint(ctx: JobContext, _: None) -> None:
    await ctx.connect()
    mark(ctx.job.room.name, Point.IN_THE_CALL, os.getpid())
