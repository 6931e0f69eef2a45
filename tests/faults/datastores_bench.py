"""A bench whose workers reach both datastores through proxies, and servers that can be killed and started again."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pymongo import AsyncMongoClient
from redis.asyncio import Redis

from infra.local.kernel import Endpoint
from infra.local.process import Process
from infra.local.servers import mongodb, redis
from infra.local.servers.probes import accepts_tcp
from infra.local.stack import MONGODB, REDIS
from infra.local.worker import Worker
from infra.supply.binaries import binary
from tests.faults.bench import Bench, Job, servers
from tests.faults.patience import eventually
from tests.faults.proxy import Mode, Proxy
from tests.faults.row import Stopwatch
from tests.faults.wrongs import Wrong

ASKING = Path("tests/faults/agents/asking.py")
# The defaults of agent/runtime/settings.py, which the other rows shorten: the times in these rows are those of
# production. The room has no caller, so nobody may be waited for.
DEADLINES = {
    "AGENT_OPEN_TIMEOUT_SECONDS": "10",
    "AGENT_CLOSE_TIMEOUT_SECONDS": "8",
    "AGENT_JOB_END_SECONDS": "155",
    "AGENT_SESSION_END_TIMEOUT_SECONDS": "60",
    "AGENT_JOIN_TIMEOUT_SECONDS": "3600",
}


@dataclass
class Proxied:
    """The bench and its two proxies. The kernel's connections are those between workers and proxies."""

    bench: Bench
    mongodb: Proxy
    redis: Proxy
    processes: dict[str, Process]
    operator: Redis
    """A connection of the operator's to Valkey, past the proxy."""
    database: AsyncMongoClient[dict[str, Any]]
    """The same to MongoDB, as root."""

    @property
    def proxies(self) -> Mapping[str, Proxy]:
        return {MONGODB: self.mongodb, REDIS: self.redis}

    async def gauges_true(self, *, within: float) -> float:
        """Wait until the workers' gauges say what the kernel says; seconds it took."""
        since = Stopwatch()

        async def true() -> bool:
            return await self.bench.gauges_are(self.bench.connected())

        try:
            await eventually(true, within=within, what="gauges that say what the kernel says")
        except TimeoutError as error:
            raise TimeoutError(f"{error}: {await self.bench.told()}") from None
        return since.seconds

    @property
    def environment(self) -> dict[str, str]:
        stack = self.bench.stack
        return {
            **DEADLINES,
            "MONGODB_URL": stack.mongodb.url_at(self.mongodb.port),
            "REDIS_URL": stack.redis.url.replace(str(stack.redis.port), str(self.redis.port)),
        }

    @asynccontextmanager
    async def worker(
        self, *, entrypoint: Path = ASKING, environment: Mapping[str, str] = MappingProxyType({})
    ) -> AsyncIterator[Worker]:
        environment = {**self.environment, **environment}
        async with self.bench.worker("", environment, entrypoint=entrypoint) as worker:
            yield worker

    async def call(self, worker: Worker) -> Job:
        return await self.bench.call(worker, Wrong.NOTHING)

    async def healthy(self) -> None:
        for proxy in self.proxies.values():
            await proxy.set(Mode.PASS)

    async def mongodb_password(self, password: str) -> None:
        """What MongoDB asks of the workers' user from now on. Connections that are open stay so."""
        await self.database["admin"].command("updateUser", mongodb.USER, pwd=password)

    async def kill(self, datastore: str) -> None:
        """SIGKILL the server."""
        process = self.processes[datastore]
        os.kill(process.pid, signal.SIGKILL)
        await self.bench.stack.run.stop(process)

    async def start(self, datastore: str) -> None:
        """Start the server again: same port, same data, same password."""
        run, stack = self.bench.stack.run, self.bench.stack
        if datastore == MONGODB:
            self.processes[MONGODB] = (await mongodb.start_again(run, stack.mongodb)).process
            return
        process = run.start("valkey-server", [binary("valkey-server"), run.state / "valkey.conf"])
        await process.ready(lambda: accepts_tcp(stack.redis.port), within=redis.START_SECONDS)
        self.processes[REDIS] = process


@asynccontextmanager
async def proxied(output: Path) -> AsyncIterator[Proxied]:
    """Servers with a proxy in front of each datastore; no worker yet."""
    async with (
        servers(output) as bench,
        Proxy(bench.stack.mongodb.port) as mongo,
        Proxy(bench.stack.redis.port) as valkey,
    ):
        # A server that is killed takes its sockets along; what counts is what the workers hold.
        for name, proxy in ((MONGODB, mongo), (REDIS, valkey)):
            bench.stack.kernel.endpoints[name] = Endpoint(os.getpid(), proxy.port)
        processes = {MONGODB: bench.stack.mongodb.process, REDIS: bench.stack.redis.process}
        async with (
            Redis.from_url(bench.stack.redis.url) as operator,
            AsyncMongoClient[dict[str, Any]](bench.stack.mongodb.root_url) as database,
        ):
            yield Proxied(bench, mongo, valkey, processes, operator, database)
