"""What is to be seen while a demo runs: one line that changes at a terminal, one line every few seconds elsewhere."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import TypeAlias

from rich.console import Console

from infra.local.demo.waves import Calls
from infra.local.stack import Stack

TERMINAL_SECONDS, LINES_SECONDS = 0.5, 5.0

Shown: TypeAlias = Callable[[Calls, Stack], contextlib.AbstractAsyncContextManager[None]]


def progress(console: Console) -> Shown:
    """A context that shows how the calls stand while it is entered."""

    @contextlib.asynccontextmanager
    async def shown(calls: Calls, stack: Stack) -> AsyncIterator[None]:
        task = asyncio.create_task(
            _terminal(console, calls, stack) if console.is_terminal else _lines(console, calls, stack)
        )
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    return shown


def line(calls: Calls, stack: Stack) -> str:
    latest = stack.kernel.latest
    servers = ", ".join(f"{each.title} {latest.connections[each.name]}" for each in stack.datastores)
    return f"calls: {calls.tally()} | jobs: {sum(latest.slots.values())} | connections: {servers}"


async def _terminal(console: Console, calls: Calls, stack: Stack) -> None:
    with console.status(line(calls, stack)) as status:
        while True:
            await asyncio.sleep(TERMINAL_SECONDS)
            status.update(line(calls, stack))


async def _lines(console: Console, calls: Calls, stack: Stack) -> None:
    shown = ""
    while True:
        await asyncio.sleep(LINES_SECONDS)
        if (now := line(calls, stack)) != shown:
            console.print(shown := now, highlight=False, soft_wrap=True)
