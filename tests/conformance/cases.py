"""The datastores that must conform: how each one's real server is started, and what an operation on it is."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from agent.runtime.datastores.mongodb import mongodb
from agent.runtime.datastores.redis import redis
from infra.local import kernel
from infra.local.process import Process
from infra.local.processes import children, sockets
from infra.local.run import Run
from infra.local.servers import mongodb as mongodb_server
from infra.local.servers import postgresql, redis_nodes
from infra.local.servers import redis as redis_server
from infra.local.servers.further import NAMES, server_of
from infra.local.servers.server import Running
from infra.local.servers.server import Server as LocalServer
from tests.conformance.ledger import ledger

SERVER_LIMIT = 100


@dataclass
class Server:
    """A running server: where it is, and how it is started again at the same place."""

    process: Process
    ports: tuple[int, ...]
    environment: dict[str, str]
    start_again: Callable[[], Awaitable[Server]]
    neighbours: tuple[Process, ...] = ()
    """Other servers that connect to it by themselves."""

    def connections(self) -> int:
        """What the kernel counts at the server's end, on all of its ports and in its children (PostgreSQL forks)."""
        pids = [self.process.pid, *(child.pid for child in children(self.process.pid))]
        # Before and after: a neighbour may connect anew between the two looks.
        others = self._neighbours_ports()
        held = [
            s for pid in pids for s in sockets(pid) if s.status in kernel.HELD and s.local_port in self.ports
        ]
        others |= self._neighbours_ports()
        return sum(s.remote_port not in others for s in held)

    def _neighbours_ports(self) -> set[int]:
        """At their end of their connections."""
        return {s.local_port for neighbour in self.neighbours for s in sockets(neighbour.pid)}


@dataclass(frozen=True)
class Case:
    """One datastore under test."""

    name: str
    start: Callable[[Run], Awaitable[Server]]
    open: Callable[[], AbstractAsyncContextManager[Any]]
    operate: Callable[[Any], Awaitable[object]]
    way: str = ""
    """How it is reached, where there are several."""

    def __str__(self) -> str:
        return f"{self.name}-{self.way}" if self.way else self.name


async def _mongodb(run: Run) -> Server:
    def server(at: mongodb_server.MongoDB) -> Server:
        async def again() -> Server:
            return server(await mongodb_server.start_again(run, at))

        return Server(at.process, (at.port,), {"MONGODB_URL": at.url}, again)

    return server(await mongodb_server.start(run, SERVER_LIMIT))


async def _redis(run: Run) -> Server:
    def server(at: redis_server.Redis) -> Server:
        async def again() -> Server:
            return server(await redis_server.start_on(run, at.port, at.password, SERVER_LIMIT))

        return Server(at.process, (at.port,), {"REDIS_URL": at.url}, again)

    return server(await redis_server.start(run, SERVER_LIMIT))


async def _redis_by_sentinel(run: Run) -> Server:
    (primary,) = await redis_nodes.start_pair(run, replicas=0)
    # It must not fail over to nobody while its server is started again.
    sentinels = await redis_nodes.start_sentinels(run, primary, "calls", down_after_ms=60_000)

    def server(at: redis_nodes.Node) -> Server:
        async def again() -> Server:
            process = (await redis_server.start_on(run, at.port, at.password, SERVER_LIMIT)).process
            return server(redis_nodes.Node(process, at.port, at.password))

        hosts = ",".join(sentinel.address for sentinel in sentinels)
        url = f"redis+sentinel://:{at.password}@{hosts}/calls?sentinel_password={sentinels[0].password}"
        neighbours = tuple(sentinel.process for sentinel in sentinels)
        return Server(at.process, (at.port,), {"REDIS_URL": url}, again, neighbours)

    return server(primary)


async def _redis_cluster(run: Run) -> Server:
    """Of one node, so that it can be killed and started like any other server."""

    def server(at: redis_nodes.Node) -> Server:
        async def again() -> Server:
            return server(await at.start_again(run))

        return Server(
            at.process, (at.port,), {"REDIS_URL": f"redis+cluster://:{at.password}@{at.address}"}, again
        )

    (node,) = await redis_nodes.start_cluster(run, shards=1)
    return server(node)


def _of(runs: LocalServer, url_as: str = "") -> Callable[[Run], Awaitable[Server]]:
    """Of a further datastore; its address under the name `url_as`, where that is given."""

    async def started(run: Run) -> Server:
        def server(at: Running) -> Server:
            async def again() -> Server:
                return server(await at.again())

            environment = {url_as or variable: value for variable, value in at.environment.items()}
            return Server(at.process, (at.endpoint.port, *at.endpoint.also), environment, again)

        return server(await runs.start(run, SERVER_LIMIT))

    return started


def _further(name: str) -> Case:
    opened = getattr(import_module(f"agent.runtime.datastores.{name}"), name)
    return Case(name, _of(server_of(name)), opened, server_of(name).ask)


QUICK = (
    Case("mongodb", _mongodb, mongodb, lambda db: db.command("ping")),
    Case("redis", _redis, redis, lambda client: client.incr("operations")),
    Case("redis", _redis_by_sentinel, redis, lambda client: client.incr("operations"), "by-sentinel"),
    Case("redis", _redis_cluster, redis, lambda client: client.incr("operations"), "cluster"),
)
HEAVY = (
    *map(_further, NAMES),
    # The page's example of a datastore of one's own.
    Case("ledger", _of(postgresql.SERVER, "LEDGER_URL"), ledger, postgresql.SERVER.ask),
)
