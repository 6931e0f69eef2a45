"""Opens several datastores at once: a call waits for the slowest, not for one after the other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeVar, overload

if TYPE_CHECKING:
    from livekit.agents import JobContext
    from livekit.rtc import Room

A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")


@overload
def together(
    one: AbstractAsyncContextManager[A], other: AbstractAsyncContextManager[B], /
) -> AbstractAsyncContextManager[tuple[A, B]]: ...
@overload
def together(
    one: AbstractAsyncContextManager[A],
    other: AbstractAsyncContextManager[B],
    third: AbstractAsyncContextManager[C],
    /,
) -> AbstractAsyncContextManager[tuple[A, B, C]]: ...
@overload
def together(*managers: AbstractAsyncContextManager[Any]) -> AbstractAsyncContextManager[tuple[Any, ...]]: ...
def together(*managers: AbstractAsyncContextManager[Any]) -> AbstractAsyncContextManager[tuple[Any, ...]]:
    """Enter `managers` at once, and leave them one by one, the last first.

        async with together(mongodb(MODELS), redis(), joining(ctx)) as (db, cache, room):

    Each is entered in a task of its own, so they may not hold a task group or a cancel scope open; datastores do not.

    Raises:
        BaseException: what the first one that failed raised; those that were open are closed again.
    """
    return _together(managers)


@asynccontextmanager
async def _together(managers: tuple[AbstractAsyncContextManager[Any], ...]) -> AsyncIterator[tuple[Any, ...]]:
    async with AsyncExitStack() as stack:
        tasks = [asyncio.ensure_future(manager.__aenter__()) for manager in managers]
        try:
            entered = await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            for manager, task in zip(managers, tasks, strict=True):
                if not task.cancelled() and task.exception() is None:
                    stack.push_async_exit(manager)
        yield tuple(entered)


@asynccontextmanager
async def joining(ctx: JobContext) -> AsyncIterator[Room]:
    """`ctx.connect()` beside the datastores: the entrypoint finds the room joined.

    The agent is in the room before the datastores are open, and leaves it again should one not open.
    """
    await ctx.connect()
    yield ctx.room
