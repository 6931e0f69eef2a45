"""The datastores that must conform: how each one's real server is started, and what an operation on it is."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any

import psutil

from agent.runtime.datastores.elasticsearch import elasticsearch
from agent.runtime.datastores.mongodb import mongodb
from agent.runtime.datastores.opensearch import opensearch
from agent.runtime.datastores.redis import redis
from agent.runtime.datastores.weaviate import weaviate
from infra.local import kernel
from infra.local.kernel import Endpoint
from infra.local.process import Process
from infra.local.run import Run
from infra.local.servers import mongodb as mongodb_server
from infra.local.servers import postgresql as postgresql_server
from infra.local.servers import redis as redis_server
from infra.local.servers import search as search_server
from infra.local.servers import weaviate as weaviate_server
from tests.conformance.postgresql import postgresql

SERVER_LIMIT = 100


@dataclass
class Server:
    """A running server: where it is, and how it is started again at the same place."""

    process: Process
    ports: tuple[int, ...]
    environment: dict[str, str]
    start_again: Callable[[], Awaitable[Server]]

    def connections(self) -> int:
        """What the kernel counts at the server's end, on all of its ports and in its children (PostgreSQL forks)."""
        try:
            children = psutil.Process(self.process.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return 0
        pids = [self.process.pid, *(child.pid for child in children)]
        return sum(kernel.connections(Endpoint(pid, port)) for pid in pids for port in self.ports)


@dataclass(frozen=True)
class Case:
    """One datastore under test."""

    name: str
    start: Callable[[Run], Awaitable[Server]]
    open: Callable[[], AbstractAsyncContextManager[Any]]
    operate: Callable[[Any], Awaitable[object]]

    def __str__(self) -> str:
        return self.name


async def _mongodb(run: Run) -> Server:
    def server(at: mongodb_server.MongoDB) -> Server:
        async def again() -> Server:
            return server(await mongodb_server.start_on(run, at.port, at.password))

        return Server(at.process, (at.port,), {"MONGODB_URL": at.url}, again)

    return server(await mongodb_server.start(run))


async def _redis(run: Run) -> Server:
    def server(at: redis_server.Redis) -> Server:
        async def again() -> Server:
            return server(await redis_server.start_on(run, at.port, at.password, SERVER_LIMIT))

        return Server(at.process, (at.port,), {"REDIS_URL": at.url}, again)

    return server(await redis_server.start(run, SERVER_LIMIT))


async def _weaviate(run: Run) -> Server:
    def server(at: weaviate_server.Weaviate) -> Server:
        async def again() -> Server:
            return server(await weaviate_server.start_with(run, at.settings))

        environment = {
            "WEAVIATE_URL": at.url,
            "WEAVIATE_GRPC_URL": at.grpc_url,
            "WEAVIATE_API_KEY": at.settings.key,
        }
        return Server(at.process, (at.settings.port, at.settings.grpc_port), environment, again)

    return server(await weaviate_server.start(run))


def _search(kind: search_server.Kind) -> Callable[[Run], Awaitable[Server]]:
    async def start(run: Run) -> Server:
        def server(at: search_server.Search) -> Server:
            async def again() -> Server:
                return server(await search_server.start_on(run, kind, at.port))

            return Server(at.process, (at.port,), {f"{kind.upper()}_URL": at.url}, again)

        return server(await search_server.start(run, kind))

    return start


async def _postgresql(run: Run) -> Server:
    def server(at: postgresql_server.PostgreSQL) -> Server:
        async def again() -> Server:
            return server(await postgresql_server.start_on(run, at.port, at.password, at.max_connections))

        return Server(at.process, (at.port,), {"POSTGRESQL_URL": at.url}, again)

    return server(await postgresql_server.start(run, SERVER_LIMIT))


async def _query_both_ways(client: Any) -> None:
    await client.get_meta()  # HTTP
    await client.collections.use("Nothing").exists()  # HTTP
    await client._connection._ping_grpc("async")  # gRPC


QUICK = (
    Case("mongodb", _mongodb, mongodb, lambda db: db.command("ping")),
    Case("redis", _redis, redis, lambda client: client.incr("operations")),
)
HEAVY = (
    Case("weaviate", _weaviate, weaviate, _query_both_ways),
    Case("elasticsearch", _search("elasticsearch"), elasticsearch, lambda client: client.info()),
    Case("opensearch", _search("opensearch"), opensearch, lambda client: client.info()),
    Case("postgresql", _postgresql, postgresql, lambda pool: pool.fetchval("SELECT 1", timeout=5)),
)
