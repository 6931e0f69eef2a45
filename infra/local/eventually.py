"""Waiting: for a condition up to a deadline, and for several things at once."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from typing import Any, TypeVar

T = TypeVar("T")


async def eventually(
    condition: Callable[[], bool | Awaitable[bool]], *, within: float, what: str, every: float = 0.05
) -> None:
    """Return as soon as `condition()` is true, looking every `every` seconds; less often where a look takes long, so
    that looking takes a quarter of the time at most.

    Raises:
        TimeoutError: `within` seconds passed; the message names `what` was waited for.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + within
    while True:
        began = loop.time()
        answer = condition()
        if await answer if inspect.isawaitable(answer) else answer:
            return
        if (now := loop.time()) > deadline:
            raise TimeoutError(f"{what}: not within {within:g} s")
        await asyncio.sleep(max(every, min(3 * (now - began), deadline - now)))


async def together(work: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """Run all at once; the first that fails cancels the others and is raised alone, not in a group."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(each) for each in work]
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from None
    return [task.result() for task in tasks]


async def beside(other: Coroutine[Any, Any, None], work: Coroutine[Any, Any, T]) -> T:
    """Run both at once, and return what `work` returns; a failure of one cancels the other."""
    results: list[T] = []

    async def noted() -> None:
        results.append(await work)

    await together([other, noted()])
    return results[0]
