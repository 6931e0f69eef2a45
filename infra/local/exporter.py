"""What each server holds, counted at the server, under the names of the official exporters.

In a cluster percona/mongodb_exporter and oliver006/redis_exporter say it. Neither is run here: redis_exporter does not
exist as a Go module, and serverStatus would cost connections that the budget does not count. So the kernel's count of a
server's sockets stands for mongod's, and Redis's own INFO is read; rules and dashboards are the same everywhere.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from aiohttp import web
from prometheus_client import CollectorRegistry, Gauge, generate_latest
from prometheus_client.core import CounterMetricFamily, Metric
from redis.asyncio import Redis
from redis.exceptions import RedisError

from infra.local.kernel import Endpoint, connections
from infra.local.ports import LOOPBACK, free_port
from infra.local.stack import MONGODB, REDIS, Stack

ANSWER_SECONDS = 1.0
TEXT = "text/plain; version=0.0.4"


@asynccontextmanager
async def exporter(stack: Stack) -> AsyncIterator[int]:
    """Serve `/<datastore>` for every server of the stack until left; yields the port."""
    app = web.Application()
    for datastore, endpoint in stack.kernel.endpoints.items():
        app.add_routes([web.get(f"/{datastore}", _page(_reader(stack, datastore, endpoint)))])
    runner = web.AppRunner(app)
    await runner.setup()
    port = free_port()
    try:
        await web.TCPSite(runner, LOOPBACK, port).start()
        yield port
    finally:
        await runner.cleanup()


Reader = Callable[[], Awaitable[CollectorRegistry]]


def _page(read: Reader) -> Callable[[web.Request], Awaitable[web.Response]]:
    one_at_a_time = asyncio.Lock()

    async def answer(_: web.Request) -> web.Response:
        async with one_at_a_time:
            try:
                async with asyncio.timeout(ANSWER_SECONDS):
                    registry = await read()
            except (RedisError, TimeoutError) as error:
                return web.Response(status=503, text=f"{type(error).__name__}: {error}")
        return web.Response(body=generate_latest(registry), headers={"Content-Type": TEXT})

    return answer


def _reader(stack: Stack, datastore: str, endpoint: Endpoint) -> Reader:
    if datastore == REDIS:
        return lambda: _redis(stack.redis.url)
    name = "mongodb_ss_connections" if datastore == MONGODB else "agent_kernel_connections"
    labels = {"conn_type": "current"} if datastore == MONGODB else {}

    async def kernel() -> CollectorRegistry:
        registry = CollectorRegistry()
        gauge = Gauge(name, "Connections, counted by the kernel.", list(labels), registry=registry)
        (gauge.labels(**labels) if labels else gauge).set(connections(endpoint))
        return registry

    return kernel


class _Refused:
    """redis_rejected_connections_total as a counter whose value is Redis's own."""

    def __init__(self, refused: int) -> None:
        self._refused = refused

    def collect(self) -> list[Metric]:
        name = "redis_rejected_connections"
        return [CounterMetricFamily(name, "Connections refused at maxclients.", value=self._refused)]


async def _redis(url: str) -> CollectorRegistry:
    # A connection of its own each time, as redis_exporter does; in the budget it takes the place of the demo's.
    async with Redis.from_url(url) as client:
        clients, stats = await client.info("clients"), await client.info("stats")
    registry = CollectorRegistry()
    gauge = Gauge("redis_connected_clients", "Clients, this exporter included.", registry=registry)
    gauge.set(clients["connected_clients"])
    registry.register(_Refused(stats["rejected_connections"]))
    return registry
