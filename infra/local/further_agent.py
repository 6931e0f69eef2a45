"""The agent of a stack with more datastores than MongoDB and Redis: the user's own, with a record of each call in each.

Run in the workers by `make demo DATASTORES=mongodb,redis,weaviate,elasticsearch`.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any

from livekit.agents import JobContext

from agent import worker
from agent.runtime import LifespanServer
from infra.datastores import kind_of
from infra.local.servers import further

Open = Callable[[], AbstractAsyncContextManager[Any]]
Keep = Callable[[Any, dict[str, str]], Awaitable[object]]


# Only those that this stack has: a driver takes a second or two to import.
FURTHER: dict[str, tuple[Open, Keep]] = {
    name: (
        getattr(importlib.import_module(f"agent.runtime.datastores.{name}"), name),
        further.server_of(name).keep,
    )
    for name in further.NAMES
    if os.environ.get(kind_of(name).url_variable or "")
}


@asynccontextmanager
async def lifespan(ctx: JobContext) -> AsyncIterator[worker.Call]:
    async with worker.lifespan(ctx) as call, AsyncExitStack() as stack:
        opened = [(await stack.enter_async_context(open_()), keep) for open_, keep in FURTHER.values()]
        yield call
        for client, keep in opened:
            await keep(client, {"room": ctx.room.name, "caller": call.caller_id})


server = LifespanServer(lifespan=lifespan, worker_lifespan=worker.worker_lifespan)
server.rtc_session(on_session_end=worker.save_transcript, on_time_limit=worker.say_goodbye)(worker.entrypoint)
