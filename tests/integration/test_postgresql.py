"""PostgreSQL beyond what every datastore promises: cancelled queries, the wait for the pool, a full server."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator

import asyncpg
import pytest
import pytest_asyncio

from agent.runtime import metrics
from agent.runtime.datastores.postgresql import PostgreSQLSettings, postgresql
from agent.runtime.errors import DatastoreUnavailable
from agent.runtime.scope import Scope, lifespan_scope
from infra.local import kernel
from infra.local.eventually import eventually
from infra.local.run import Run
from infra.local.servers.postgresql import SERVER
from infra.local.servers.server import Running
from infra.supply.errors import BuildError

POOL = 2

pytestmark = [pytest.mark.integration, pytest.mark.datastores, pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server() -> AsyncIterator[Running]:
    """For so many connections as one pool has: it has no place for another."""
    metrics.keep_in_memory()
    async with Run("test-postgresql") as run:
        try:
            yield await SERVER.start(run, POOL)
        except BuildError as error:
            pytest.skip(str(error))


def settings(server: Running, **more: str) -> PostgreSQLSettings:
    return PostgreSQLSettings.from_environment(server.environment | {"POSTGRESQL_POOL": str(POOL)} | more)


async def test_cancel_requests_take_no_place_of_max_connections(server: Running) -> None:
    seen = [0]
    stop = threading.Event()

    def look() -> None:
        while not stop.is_set():
            seen.append(kernel.connections(server.endpoint))

    counting = threading.Thread(target=look)
    with lifespan_scope(Scope("job", 2)):
        async with postgresql(settings=settings(server)) as pool:
            counting.start()
            try:
                for _ in range(5):
                    queries = [asyncio.create_task(pool.fetchval("SELECT pg_sleep(60)")) for _ in range(POOL)]
                    await eventually(lambda: _all_busy(pool), within=5, what="queries that run")
                    started = time.monotonic()
                    for query in queries:
                        query.cancel()
                    await asyncio.wait(queries)
                    # The server has heard of it, full as it is: the connections are used again.
                    assert await pool.fetchval("SELECT 1") == 1
                    assert time.monotonic() - started < 5
            finally:
                stop.set()
                await asyncio.to_thread(counting.join)
            assert pool.get_size() == POOL
    # One for each connection of the pool, at most, and only as long as a round trip.
    assert POOL <= max(seen) <= 2 * POOL
    await eventually(lambda: kernel.connections(server.endpoint) == 0, within=5, what="all closed")


def _all_busy(pool: asyncpg.Pool[asyncpg.Record]) -> bool:
    return pool.get_size() == POOL and pool.get_idle_size() == 0


async def test_the_wait_for_the_pool_ends(server: Running) -> None:
    with lifespan_scope(Scope("job", 2)):
        given = settings(server, POSTGRESQL_WAIT_SECONDS="0.2")
        async with postgresql(settings=given) as pool, pool.acquire(), pool.acquire():
            started = time.monotonic()
            with pytest.raises(TimeoutError):
                await pool.fetchval("SELECT 1")
            assert time.monotonic() - started < 2


async def test_a_query_that_does_not_end_is_given_up(server: Running) -> None:
    with lifespan_scope(Scope("job", 2)):
        given = settings(server, POSTGRESQL_REPLY_SECONDS="0.2")
        async with postgresql(settings=given) as pool:
            with pytest.raises(TimeoutError):
                await pool.fetchval("SELECT pg_sleep(60)")
            assert await pool.fetchval("SELECT 1") == 1


async def test_a_full_server_is_named(server: Running) -> None:
    holders = [await asyncpg.connect(server.environment["POSTGRESQL_URL"]) for _ in range(POOL)]
    try:
        with lifespan_scope(Scope("job", 2)), pytest.raises(DatastoreUnavailable, match="TooManyConnections"):
            async with postgresql(settings=settings(server)):
                pass
    finally:
        for holder in holders:
            await holder.close()


async def test_a_connection_held_at_the_end_is_closed_under_the_deadline(server: Running) -> None:
    with lifespan_scope(Scope("job", 0.5)):
        opened = postgresql(settings=settings(server))
        pool = await opened.__aenter__()
        await pool.acquire()
        started = time.monotonic()
        await opened.__aexit__(None, None, None)
        assert time.monotonic() - started < 2
    await eventually(lambda: kernel.connections(server.endpoint) == 0, within=5, what="all closed")
