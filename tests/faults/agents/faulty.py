"""An agent that does in each call the one wrong thing which the call's metadata names (tests/faults/wrongs.py).

Its lifespan opens MongoDB, a datastore that misbehaves, and Redis, in this order: so the bad one stands between two
whose connections the kernel can count.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import signal
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from livekit.agents import JobContext

from agent.models import DOCUMENTS
from agent.runtime import LifespanServer
from agent.runtime.datastores.base import Connections, opened
from agent.runtime.datastores.mongodb import mongodb
from agent.runtime.datastores.redis import redis
from infra.local.eventually import eventually
from tests.faults.wrongs import MARKS, Point, Wrong, mark, marked

# Far above what a job needs more, far below what the machine has.
MEMORY_LEFT_BYTES = 256 * 2**20
GROWTH_BYTES = 512 * 2**20
# More than the call uses (about 40).
DESCRIPTORS = 128


def wrong(ctx: JobContext) -> Wrong:
    return Wrong(ctx.job.metadata or Wrong.NOTHING)


async def for_ever() -> None:
    await asyncio.Event().wait()


async def stubborn() -> None:
    while True:
        with contextlib.suppress(asyncio.CancelledError):
            await for_ever()


async def raises() -> None:
    raise RuntimeError("the shutdown callback raised")


async def loses_one_cancel() -> None:
    """As PyMongo does on Python 3.11 with one that comes while it writes; a task group cancels its tasks once."""

    async def loses_it() -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await for_ever()
        await for_ever()

    async with asyncio.TaskGroup() as group:
        group.create_task(loses_it())


STAYS = {
    Wrong.DOES_NOT_RETURN: for_ever,
    Wrong.IGNORES_CANCEL: stubborn,
    Wrong.LOSES_CANCEL: loses_one_cancel,
}


CALLBACKS = {Wrong.CALLBACK_RAISES: raises, Wrong.CALLBACK_HANGS: stubborn}


def until(file: Path) -> None:
    while not file.exists():
        time.sleep(0.05)


class Misbehaving:
    """A datastore without a server."""

    name = "misbehaving"

    def __init__(self, what: Wrong) -> None:
        self._what = what

    async def open(self) -> None:
        if self._what is Wrong.OPEN_HANGS:
            await for_ever()

    async def close(self) -> None:
        if self._what is Wrong.CLOSE_HANGS:
            await for_ever()
        if self._what is Wrong.CLOSE_IGNORES_CANCEL:
            await stubborn()
        if self._what is Wrong.CLOSE_RAISES:
            raise ConnectionError("this close raises")

    def connections(self) -> Connections:
        return Connections()


async def dies_in_the_call(joined: asyncio.Event) -> None:
    """A background task of the lifespan, as one would write to keep a subscription."""
    await joined.wait()
    raise RuntimeError("the lifespan's own task died")


@asynccontextmanager
async def lifespan(ctx: JobContext) -> AsyncIterator[asyncio.Event]:
    what = wrong(ctx)
    mark(ctx.job.room.name, Point.OPENING, os.getpid())
    async with mongodb(DOCUMENTS), opened(Misbehaving(what)), redis() as cache:
        await cache.ping()
        mark(ctx.job.room.name, Point.OPENED, os.getpid())
        if what is Wrong.RAISES_BEFORE_YIELD:
            raise RuntimeError("the lifespan raised before its yield")
        # A task group around `yield`: it works only if the task that entered it leaves it.
        joined = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            if what is Wrong.LIFESPAN_DIES:
                group.create_task(dies_in_the_call(joined))
            yield joined
        mark(ctx.job.room.name, Point.LEAVING, os.getpid())
        if what is Wrong.RAISES_AFTER_YIELD:
            raise RuntimeError("the lifespan raised after its yield")
        if what is Wrong.BLOCKS_AFTER_YIELD:
            threading.Event().wait()


@asynccontextmanager
async def worker_lifespan() -> AsyncIterator[None]:
    async with mongodb(DOCUMENTS), redis() as cache:
        await cache.ping()
        yield


server = LifespanServer(lifespan=lifespan, worker_lifespan=worker_lifespan)


async def leaves_behind(what: Wrong, room: str) -> None:
    """What may outlive the call: a thread, a program, a fork."""
    if what is Wrong.KEEPS_A_THREAD:
        go = marked(Path(os.environ[MARKS]), room, Point.GO)
        threading.Thread(target=until, args=[go], name="kept").start()
    if what is Wrong.RUNS_A_PROGRAM:
        mark(room, Point.HELPER, (await asyncio.create_subprocess_exec("sleep", "600")).pid)
    if what is Wrong.FORKS:
        if (helper := os.fork()) == 0:
            # Keeps what it inherited, until it is killed.
            signal.pause()
            os._exit(0)
        mark(room, Point.HELPER, helper)


async def at_the_end(ctx: JobContext, _: asyncio.Event) -> None:
    if wrong(ctx) is Wrong.SESSION_END_RAISES:
        raise RuntimeError("on_session_end raised")


@server.rtc_session(on_session_end=at_the_end)
async def entrypoint(ctx: JobContext, joined: asyncio.Event) -> None:
    what = wrong(ctx)
    room = ctx.job.room.name
    if what is Wrong.FAILS_BEFORE_CONNECT:
        raise RuntimeError("the entrypoint failed before it connected")
    await ctx.connect()
    ctx.room.on("participant_connected", lambda _: mark(room, Point.CALLER, os.getpid()))
    if callback := CALLBACKS.get(what):
        ctx.add_shutdown_callback(callback)
    await leaves_behind(what, room)
    mark(room, Point.IN_THE_CALL, os.getpid())
    joined.set()
    if what is Wrong.FAILS_AFTER_CONNECT:
        raise RuntimeError("the entrypoint failed in the call")
    if what is Wrong.CANCELS_ITSELF:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await for_ever()
    if stays := STAYS.get(what):
        await stays()
    if what is Wrong.RUNS_OUT_OF_MEMORY:
        used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        resource.setrlimit(resource.RLIMIT_DATA, (used + MEMORY_LEFT_BYTES, resource.RLIM_INFINITY))
        bytearray(2 * MEMORY_LEFT_BYTES + used)
    if what is Wrong.GROWS:
        go = marked(Path(os.environ[MARKS]), room, Point.GO)
        await eventually(go.exists, within=60, what="told to grow")
        b"x" * GROWTH_BYTES  # not zeros, for which the kernel gives no memory
    if what is Wrong.RUNS_OUT_OF_DESCRIPTORS:
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (DESCRIPTORS, most))
        taken = []
        with contextlib.suppress(OSError):
            while True:
                taken.append(os.open(os.devnull, os.O_RDONLY))
        os.close(taken[0])  # for the mark
        mark(room, Point.HELPER, os.getpid())
        os.open(os.devnull, os.O_RDONLY)
