"""A bench whose workers reach both datastores through proxies, and servers that can be killed and started again."""

from __future__ import annotations

import os
import secrets
import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import psutil
from redis.asyncio import Redis

from infra.local.binaries import binary
from infra.local.kernel import Endpoint
from infra.local.ports import LOOPBACK
from infra.local.process import Process
from infra.local.servers import mongodb, redis
from infra.local.servers.probes import accepts_tcp
from infra.local.stack import MONGODB, REDIS
from infra.local.worker import Worker
from tests.faults.bench import Bench, Job, servers
from tests.faults.password_proxy import PasswordProxy
from tests.faults.patience import eventually
from tests.faults.proxy import Mode, Proxy
from tests.faults.row import Stopwatch
from tests.faults.wrongs import Wrong

ESTABLISHED = psutil.CONN_ESTABLISHED
ASKING = Path("tests/faults/agents/asking.py")
# The defaults of agent/runtime/settings.py, which the other rows shorten: the times in these rows are those of
# production. The room has no caller, so nobody may be waited for.
DEADLINES = {
    "AGENT_OPEN_TIMEOUT_SECONDS": "10",
    "AGENT_CLOSE_TIMEOUT_SECONDS": "8",
    "AGENT_JOB_END_SECONDS": "145",
    "AGENT_SESSION_END_TIMEOUT_SECONDS": "60",
    "AGENT_JOIN_TIMEOUT_SECONDS": "3600",
}


@dataclass
class Proxied:
    """The bench and its two proxies. The kernel's connections are those between workers and proxies."""

    bench: Bench
    mongodb: PasswordProxy
    redis: Proxy
    processes: dict[str, Process]
    operator: Redis
    """A connection of the operator's to Valkey, past the proxy."""

    @property
    def proxies(self) -> Mapping[str, Proxy]:
        return {MONGODB: self.mongodb, REDIS: self.redis}

    async def gauges_true(self, *, within: float) -> float:
        """Wait until the workers' gauges say what the kernel says; seconds it took."""
        since = Stopwatch()

        async def true() -> bool:
            gauges = [await worker.gauges(self.bench.http) for worker in self.bench.workers]
            kernel = self.bench.connected()
            return all(sum(g.total(name) for g in gauges if g) == number for name, number in kernel.items())

        await eventually(true, within=within, what="gauges that say what the kernel says")
        return since.seconds

    @property
    def environment(self) -> dict[str, str]:
        stack = self.bench.stack
        return {
            **DEADLINES,
            "MONGODB_URL": self.mongodb.url(LOOPBACK),
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

    def held_by(self, pid: int, datastore: str) -> int:
        """Connections of one process to the datastore, as the kernel counts."""
        port = self.proxies[datastore].port
        sockets = psutil.Process(pid).net_connections(kind="tcp")
        return sum(bool(s.raddr) and s.raddr.port == port and s.status == ESTABLISHED for s in sockets)

    async def healthy(self) -> None:
        for proxy in self.proxies.values():
            await proxy.set(Mode.PASS)
        self.mongodb.accepts = self.mongodb.password

    async def kill(self, datastore: str) -> None:
        """SIGKILL the server."""
        process = self.processes[datastore]
        os.kill(process.pid, signal.SIGKILL)
        await self.bench.stack.run.stop(process)

    async def start(self, datastore: str) -> None:
        """Start the server again: same port, same data, same password."""
        run, stack = self.bench.stack.run, self.bench.stack
        if datastore == MONGODB:
            self.processes[MONGODB] = (await mongodb.start_on(run, stack.mongodb.port)).process
            return
        process = run.start("valkey-server", [binary("valkey-server"), run.state / "valkey.conf"])
        await process.ready(lambda: accepts_tcp(stack.redis.port), within=redis.START_SECONDS)
        self.processes[REDIS] = process


@asynccontextmanager
async def proxied(output: Path) -> AsyncIterator[Proxied]:
    """Servers with a proxy in front of each datastore; no worker yet."""
    async with (
        servers(output) as bench,
        PasswordProxy(bench.stack.mongodb.port, secrets.token_urlsafe(16)) as mongo,
        Proxy(bench.stack.redis.port) as valkey,
    ):
        # A server that is killed takes its sockets along; what counts is what the workers hold.
        for name, proxy in ((MONGODB, mongo), (REDIS, valkey)):
            bench.stack.kernel.endpoints[name] = Endpoint(os.getpid(), proxy.port)
        processes = {MONGODB: bench.stack.mongodb.process, REDIS: bench.stack.redis.process}
        operator = Redis.from_url(bench.stack.redis.url)
        try:
            yield Proxied(bench, mongo, valkey, processes, operator)
        finally:
            await operator.aclose()
