"""Is it ready? Asked over the wire, as a client would."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import aiohttp

from infra.local.ports import LOOPBACK

ANSWER_SECONDS = 1.0


async def answers_http(url: str) -> bool:
    """True for a 200."""
    timeout = aiohttp.ClientTimeout(total=ANSWER_SECONDS)
    try:
        async with aiohttp.ClientSession(timeout=timeout) as session, session.get(url) as response:
            return response.status == 200
    except (aiohttp.ClientError, TimeoutError):
        return False


async def accepts_tcp(port: int) -> bool:
    """True if somebody listens."""
    async with _connection(port) as streams:
        return streams is not None


async def answers_line(port: int, request: bytes, expected: bytes) -> bool:
    """True if the last line of the answer to `request` is `expected`."""
    async with _connection(port) as streams:
        if streams is None:
            return False
        reader, writer = streams
        writer.write(request)
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, TimeoutError):
            async with asyncio.timeout(ANSWER_SECONDS):
                for _ in range(request.count(b"\n")):
                    line = await reader.readuntil(b"\n")
                    if line.strip() == expected:
                        return True
        return False


@contextlib.asynccontextmanager
async def _connection(port: int) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter] | None]:
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            reader, writer = await asyncio.open_connection(LOOPBACK, port)
    except (OSError, TimeoutError):
        yield None
        return
    try:
        yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
