"""TLS in front of servers that speak none here: the client's handshake is real; the server's part is this process's."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import trustme

from infra.local.ports import LOOPBACK

CHUNK = 65_536


@dataclass(frozen=True)
class Authority:
    """An authority of this run: what servers show, and the file by which clients know it."""

    context: ssl.SSLContext
    file: Path


def authority(directory: Path) -> Authority:
    made = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    # Nobody waits for a ticket, but the wire would count what is sent after one as a round trip.
    context.num_tickets = 0
    made.issue_cert(LOOPBACK).configure_cert(context)
    file = directory / "ca.pem"
    made.cert_pem.write_to_path(str(file))
    return Authority(context, file)


@asynccontextmanager
async def secured(target: int, context: ssl.SSLContext) -> AsyncIterator[int]:
    """Yield a port that speaks TLS 1.3 and forwards to `target`, both on loopback, until the block is left."""
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            above, upstream = await asyncio.open_connection(LOOPBACK, target)
            both = [asyncio.create_task(_carry(*way)) for way in ((reader, upstream), (above, writer))]
            try:
                await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for one in both:
                    one.cancel()
                await asyncio.gather(*both, return_exceptions=True)
                upstream.close()
        finally:
            tasks.discard(task)
            writer.close()

    server = await asyncio.start_server(serve, LOOPBACK, 0, ssl=context)
    try:
        yield int(server.sockets[0].getsockname()[1])
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _carry(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await source.read(CHUNK):
            sink.write(data)
            await sink.drain()
