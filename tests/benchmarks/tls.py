"""TLS in front of servers that speak none here: the client's handshake is real; the server's part is this process's."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import trustme

from infra.local.ports import LOOPBACK
from tests.pumps import carry, until_one_ends


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
            try:
                await until_one_ends(carry(reader, upstream), carry(above, writer))
            finally:
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
