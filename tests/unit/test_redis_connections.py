"""The gauge of Redis counts no connection that its server has closed, used again or not."""

from __future__ import annotations

import asyncio

from agent.runtime.datastores.base import Connections
from agent.runtime.datastores.redis import RedisDatastore
from agent.runtime.settings import RedisSettings
from infra.local.eventually import eventually
from infra.local.ports import LOOPBACK


async def test_an_idle_connection_whose_server_went_is_not_counted() -> None:
    clients: list[asyncio.StreamWriter] = []

    async def agreeable(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        clients.append(writer)
        while data := await reader.read(4096):
            writer.write(b"+OK\r\n" * data.count(b"*"))

    server = await asyncio.start_server(agreeable, LOOPBACK, 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        url = f"redis://{LOOPBACK}:{port}/0?protocol=2"
        datastore = RedisDatastore(RedisSettings.from_environment({"REDIS_URL": url}), 2)
        try:
            await datastore.open()
            assert datastore.connections() == Connections(idle=1)
            for client in clients:
                client.close()
            await eventually(
                lambda: datastore.connections() == Connections(), within=5, what="no connection counted"
            )
        finally:
            await datastore.close()
