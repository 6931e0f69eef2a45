"""The proxy does to real connections what its modes say, and stops doing it when told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from infra.local.ports import LOOPBACK
from tests.faults.proxy import Mode, Proxy

# No answer is an answer when it did not come within this; a real one takes microseconds here.
SILENCE_SECONDS = 0.2


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while line := await reader.readline():
        writer.write(line)
    writer.close()


@pytest.fixture
async def proxy() -> AsyncIterator[Proxy]:
    server = await asyncio.start_server(echo, LOOPBACK, 0)
    async with server, Proxy(server.sockets[0].getsockname()[1]) as proxy:
        yield proxy


@asynccontextmanager
async def client(proxy: Proxy) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection(LOOPBACK, proxy.port)
    try:
        yield reader, writer
    finally:
        writer.close()


async def asked(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    writer.write(b"hello\n")
    return await asyncio.wait_for(reader.readline(), SILENCE_SECONDS * 20)


async def test_it_passes_and_counts(proxy: Proxy) -> None:
    async with client(proxy) as one, client(proxy) as other:
        assert await asked(*one) == await asked(*other) == b"hello\n"
        assert proxy.open == len(proxy.accepted) == 2


async def test_slow_delays_both_directions(proxy: Proxy) -> None:
    await proxy.set(Mode.SLOW, delay=0.1)
    async with client(proxy) as connection:
        began = asyncio.get_running_loop().time()
        assert await asked(*connection) == b"hello\n"
        assert asyncio.get_running_loop().time() - began >= 0.2


async def test_refuse_closes_the_port_and_pass_opens_the_same_one(proxy: Proxy) -> None:
    async with client(proxy) as (reader, _):
        port = proxy.port
        await proxy.set(Mode.REFUSE)
        assert await reader.read() == b""
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(LOOPBACK, port)
    await proxy.set(Mode.PASS)
    assert proxy.port == port
    async with client(proxy) as connection:
        assert await asked(*connection) == b"hello\n"


async def test_close_ends_new_connections_only(proxy: Proxy) -> None:
    async with client(proxy) as old:
        assert await asked(*old) == b"hello\n"
        await proxy.set(Mode.CLOSE)
        async with client(proxy) as (reader, _):
            assert await reader.read() == b""
        assert await asked(*old) == b"hello\n"


@pytest.mark.parametrize("when", ["before", "after"])
async def test_blackhole_swallows_without_closing(proxy: Proxy, when: str) -> None:
    if when == "before":
        await proxy.set(Mode.BLACKHOLE)
    async with client(proxy) as (reader, writer):
        if when == "after":
            assert await asked(reader, writer) == b"hello\n"
            await proxy.set(Mode.BLACKHOLE)
        writer.write(b"hello\n")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(), SILENCE_SECONDS)


async def test_cut_ends_a_reply_in_its_middle(proxy: Proxy) -> None:
    async with client(proxy) as (reader, writer):
        assert await asked(reader, writer) == b"hello\n"
        await proxy.set(Mode.CUT, after=2)
        writer.write(b"hello\n")
        assert await reader.read() == b"he"


async def test_reset_resets_what_is_open_and_what_comes(proxy: Proxy) -> None:
    async with client(proxy) as (old, writer):
        assert await asked(old, writer) == b"hello\n"
        await proxy.set(Mode.RESET)
        with pytest.raises(ConnectionResetError):
            await old.read()
    with pytest.raises(ConnectionResetError):
        async with client(proxy) as (reader, _):
            await reader.read()


async def test_a_target_that_does_not_listen_closes_the_client(proxy: Proxy) -> None:
    proxy.target = 1
    async with client(proxy) as (reader, _):
        assert await reader.read() == b""
    assert len(proxy.accepted) == 1
