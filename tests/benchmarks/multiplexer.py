"""`python -m tests.benchmarks.multiplexer NUTCRACKER`: what one Redis proxy for a worker saves and costs.

NUTCRACKER is twemproxy's binary (Debian: `apt-get download nutcracker; dpkg -x nutcracker*.deb .`, then
`usr/sbin/nutcracker`). Needs no root; everything on loopback. Prints the figures of MULTIPLEXER.md.
"""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path
from statistics import median

from redis.asyncio import BlockingConnectionPool, Redis
from redis.exceptions import RedisError

from infra.local.eventually import together
from infra.local.ports import LOOPBACK, free_port
from infra.local.run import Run
from infra.local.servers import redis
from infra.local.servers.probes import accepts_tcp

JOBS, POOL = 25, 2
PROXY_CONNECTIONS = 4
SECONDS = 2.0
REFUSED = {
    "MULTI": ("MULTI",),
    "SUBSCRIBE": ("SUBSCRIBE", "channel"),
    "BLPOP": ("BLPOP", "list", "1"),
    "HELLO 3": ("HELLO", "3"),
    "SELECT": ("SELECT", "1"),
    "SCAN": ("SCAN", "0"),
}


def config(port: int, server: redis.Redis) -> str:
    return (
        f"worker:\n  listen: {LOOPBACK}:{port}\n  redis: true\n  redis_auth: {server.password}\n"
        f"  server_connections: {PROXY_CONNECTIONS}\n  preconnect: true\n  timeout: 5000\n"
        f"  servers:\n   - {LOOPBACK}:{server.port}:1\n"
    )


async def measured(name: str, url: str, operator: Redis, others: int) -> None:
    """A worker's jobs, each with a pool of its own, all asking for two things; `others` are connected besides."""
    jobs = [
        Redis.from_pool(BlockingConnectionPool.from_url(url, max_connections=POOL, driver_info=None))
        for _ in range(JOBS)
    ]
    took: list[float] = []
    until = time.perf_counter() + SECONDS

    async def one_after_the_other(job: Redis) -> None:
        while (began := time.perf_counter()) < until:
            await job.get("key")
            took.append(time.perf_counter() - began)

    await together(one_after_the_other(job) for job in jobs for _ in range(POOL))
    connected = (await operator.info("clients"))["connected_clients"] - others
    took.sort()
    print(
        f"{name}: {connected} connections at Redis for {JOBS} jobs of pool {POOL}; "
        f"{len(took) / SECONDS:.0f} operations a second, median {median(took) * 1000:.1f} ms, "
        f"p99 {took[int(len(took) * 0.99)] * 1000:.1f} ms"
    )
    for job in jobs:
        await job.aclose(close_connection_pool=True)


async def refused(url: str) -> None:
    """Which commands of an agent do not pass the proxy."""
    for name, command in REFUSED.items():
        client = Redis.from_url(url, socket_timeout=3, driver_info=None)
        try:
            await client.execute_command(*command)
            print(f"through the proxy, {name}: answered")
        except RedisError as error:
            print(f"through the proxy, {name}: {type(error).__name__}: {error}")
        finally:
            await client.aclose()


async def main(nutcracker: Path) -> None:
    async with Run("multiplexer", Path("build") / f"multiplexer-{time.time():.0f}") as run:
        server, port = await redis.start(run, 2000), free_port()
        file = run.private_file("nutcracker.yml", config(port, server))
        statistics, log, pid = str(free_port()), run.state / "nutcracker.log", run.state / "nutcracker.pid"
        options: list[str | Path] = ["-c", file, "-s", statistics, "-a", LOOPBACK, "-o", log, "-p", pid]
        process = run.start("nutcracker", [nutcracker, *options])
        await process.ready(lambda: accepts_tcp(port), within=10)
        # twemproxy knows neither HELLO nor CLIENT SETINFO; it asks its clients for the same password.
        through = f"redis://:{server.password}@{LOOPBACK}:{port}?protocol=2"
        async with Redis.from_url(server.url) as operator:
            await operator.set("key", "value")
            for _ in range(3):
                await measured("direct", server.url, operator, 1 + PROXY_CONNECTIONS)
                await measured("through twemproxy", through, operator, 1)
        await refused(through)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]).resolve()))
