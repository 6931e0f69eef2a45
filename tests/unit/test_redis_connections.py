"""The gauge of Redis counts no connection that its server has closed, and a pool that is closed leaves none."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from agent.runtime.datastores.base import Connections
from agent.runtime.datastores.redis import RedisDatastore
from agent.runtime.settings import RedisSettings
from infra.local.eventually import eventually
from infra.local.ports import LOOPBACK

# SO_LINGER with 0 s: closing sends a reset.
RESET_AT_CLOSE = struct.pack("ii", 1, 0)


@dataclass
class Agreeable:
    """A server that says yes to everything."""

    datastore: RedisDatastore
    clients: list[asyncio.StreamWriter]
    """Everyone who ever connected."""


@pytest.fixture
async def agreeable() -> AsyncIterator[Agreeable]:
    clients: list[asyncio.StreamWriter] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        clients.append(writer)
        while data := await reader.read(4096):
            writer.write(b"+OK\r\n" * data.count(b"*"))
        writer.close()

    async with await asyncio.start_server(answer, LOOPBACK, 0) as server:
        port = server.sockets[0].getsockname()[1]
        url = f"redis://{LOOPBACK}:{port}/0?protocol=2"
        datastore = RedisDatastore(RedisSettings.from_environment({"REDIS_URL": url}), 2)
        try:
            await datastore.open()
            yield Agreeable(datastore, clients)
        finally:
            await datastore.close()
            for client in clients:
                client.transport.abort()


@pytest.mark.parametrize("reset", [False, True], ids=["closed", "reset"])
async def test_an_idle_connection_whose_server_went_is_not_counted(reset: bool, agreeable: Agreeable) -> None:
    datastore = agreeable.datastore
    assert datastore.connections() == Connections(idle=1)
    for client in [one for one in agreeable.clients if not one.is_closing()]:
        if reset:
            client.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_AT_CLOSE)
        client.transport.abort()
    await eventually(lambda: datastore.connections() == Connections(), within=5, what="no connection counted")


@asynccontextmanager
async def held_up(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[asyncio.Event]:
    """Who dials in this block waits for its end; the event says that somebody does."""
    dialling, goes_on, connect = asyncio.Event(), asyncio.Event(), asyncio.open_connection

    async def slow(**to: Any) -> Any:
        dialling.set()
        await goes_on.wait()
        return await connect(**to)

    monkeypatch.setattr(asyncio, "open_connection", slow)
    yield dialling
    goes_on.set()


async def test_what_still_dials_when_its_pool_closes_never_connects(
    agreeable: Agreeable, monkeypatch: pytest.MonkeyPatch
) -> None:
    datastore, before = agreeable.datastore, len(agreeable.clients)
    async with held_up(monkeypatch) as dialling:
        commands = [asyncio.ensure_future(datastore.client.ping()) for _ in range(3)]
        await dialling.wait()
        await datastore.close()
    ended = await asyncio.gather(*commands, return_exceptions=True)
    failed = [one for one in ended if isinstance(one, RedisConnectionError)]
    assert any("redis is closed: its lifespan has been left" in str(one) for one in failed), ended
    assert len(agreeable.clients) == before
    assert datastore.connections() == Connections()
