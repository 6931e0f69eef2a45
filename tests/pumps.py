"""What proxies of the tests have in common: bytes carried both ways until one side ends."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine

CHUNK = 65_536


async def carry(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    """Until the source ends."""
    while data := await source.read(CHUNK):
        sink.write(data)
        await sink.drain()


async def until_one_ends(*pumps: Coroutine[None, None, None]) -> None:
    """Run them side by side; the others are cancelled with the first that ends, however it does."""
    tasks = [asyncio.create_task(pump) for pump in pumps]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
