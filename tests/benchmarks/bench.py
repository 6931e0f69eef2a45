"""Servers behind a wire, and jobs that are started on them one after another or several at once."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from beanie import init_beanie
from pymongo import AsyncMongoClient
from redis.asyncio import Redis

from infra.local.run import Run
from infra.local.servers import mongodb, redis
from tests.benchmarks.models import MOST, documents
from tests.benchmarks.tls import authority, secured
from tests.benchmarks.ways import Addresses, Way

MAXCLIENTS = 2000
ANSWER_SECONDS = 60.0
# More than jobs are ever alive at once.
SLOTS = 16


@dataclass
class JobProcess:
    """A started job: `seconds` from its first line to the first document and value, of them `cpu_seconds` its own."""

    process: Any
    pipe: Connection
    seconds: float = 0.0
    cpu_seconds: float = 0.0

    async def ask(self, what: object, within: float = ANSWER_SECONDS) -> Any:
        """Send it a request and wait for the answer."""
        self.pipe.send(what)
        return await answer(self.pipe, within)

    async def close(self) -> None:
        await self.ask("close")
        await self.ended()

    async def ended(self) -> None:
        await asyncio.to_thread(self.process.join, ANSWER_SECONDS)
        self.pipe.close()
        self.process.close()

    async def kill(self) -> None:
        os.kill(self.process.pid, signal.SIGKILL)


async def answer(pipe: Connection, within: float) -> Any:
    """What comes next over the pipe.

    Raises:
        TimeoutError: nothing did.
        EOFError: the process ended.
    """
    loop, readable = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(pipe.fileno(), readable.set)
    try:
        async with asyncio.timeout(within):
            await readable.wait()
    finally:
        loop.remove_reader(pipe.fileno())
    return pipe.recv()


@dataclass
class Bench:
    """Where jobs are started."""

    wires: dict[str, Wire]
    addresses: Addresses
    _jobs: count[int] = field(default_factory=count)

    async def job(self, way: Way, models: int = 5, pool: int = 2) -> JobProcess:
        """Start a job, wait until it is warm, and let it open; counts of the wires begin with its first line."""
        job = await self.warm(way, models, pool)
        for wire in self.wires.values():
            wire.round_trips = wire.accepted = 0
        job.seconds, job.cpu_seconds = await job.ask("go")
        return job

    async def warm(self, way: Way, models: int = 5, pool: int = 2) -> JobProcess:
        """A job's process before its call."""
        ours, theirs = _CONTEXT.Pipe()
        slot = f"slot{next(self._jobs) % SLOTS}"
        process = _CONTEXT.Process(
            target=run, args=(theirs, way, self.addresses, (models, pool), slot), daemon=True
        )
        await asyncio.to_thread(process.start)
        theirs.close()
        await answer(ours, ANSWER_SECONDS)
        return JobProcess(process, ours)

    def slow(self, rtt: float) -> None:
        for wire in self.wires.values():
            wire.rtt = rtt

    def open(self) -> dict[str, int]:
        """Connections now, at each datastore."""
        return {name: wire.open for name, wire in self.wires.items()}

    def round_trips(self) -> dict[str, int]:
        return {name: wire.round_trips for name, wire in self.wires.items()}


# LiveKit's way on Linux (ipc/supervised_proc.py): a server that has imported the agent forks every job.
os.environ.setdefault("PROMETHEUS_MULTIPROC_DIR", tempfile.mkdtemp(prefix="benchmark-metrics-"))
_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["tests.benchmarks.job"])

from tests.benchmarks.job import KEY, run  # noqa: E402  # imported with the directory above in the environment
from tests.benchmarks.wire import Wire  # noqa: E402


@asynccontextmanager
async def servers(output: Path, *, tls: bool = False) -> AsyncIterator[Bench]:
    """MongoDB's and Redis' servers as processes, one document and one value in them, each behind a wire."""
    async with Run("bench", output) as started:
        mongodb_server = await mongodb.start(started, 1000)
        redis_server = await redis.start(started, MAXCLIENTS)
        await _fill(mongodb_server.url, redis_server.url)
        ports = [mongodb_server.port, redis_server.port]
        async with AsyncExitStack() as stack:
            known = authority(started.directory("authority"))
            if tls:
                ports = [await stack.enter_async_context(secured(port, known.context)) for port in ports]
            one, other = [await stack.enter_async_context(Wire(port)) for port in ports]
            addresses = Addresses(
                mongodb_server.url_at(one.port),
                redis_server.url.replace(str(redis_server.port), str(other.port)),
            )
            if tls:
                addresses = Addresses(
                    f"{addresses.mongodb}&tls=true&tlsCAFile={known.file}",
                    f"{addresses.redis.replace('redis:', 'rediss:')}?ssl_ca_certs={known.file}",
                )
            yield Bench({"mongodb": one, "redis": other}, addresses)


async def _fill(mongodb_url: str, redis_url: str) -> None:
    models = documents(MOST)
    async with AsyncMongoClient[dict[str, Any]](mongodb_url) as client:
        await init_beanie(database=client[mongodb.DATABASE], document_models=list(models))
        for model in models:
            await model.model_validate({"key": KEY, "text": "a document"}).insert()
    async with Redis.from_url(redis_url) as cache:
        await cache.set(KEY, KEY)
