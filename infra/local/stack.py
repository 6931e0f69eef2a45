"""The whole stack on this machine: servers, indexes, workers, and the kernel's count of their connections."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from types import MappingProxyType

from infra.budget.solution import Datastore, Solution
from infra.handoff.environment import worker_environment
from infra.local import worker as workers_
from infra.local.conversation import Line
from infra.local.eventually import together
from infra.local.kernel import Endpoint, KernelSampler
from infra.local.process import STOP_SECONDS
from infra.local.run import Run
from infra.local.servers import further, livekit, metrics_store, mongodb, redis
from infra.local.servers.server import Running
from infra.local.worker import Worker
from infra.supply.binaries import SERVERS, build_missing

AGENT_NAME = "assistant"
MONGODB, REDIS = "mongodb", "redis"
FURTHER_AGENT = Path("infra/local/further_agent.py")

Say = Callable[[str], None]


@dataclass
class Stack:
    """A running stack. `workers` holds every registered worker until it is gone, draining ones included."""

    run: Run
    solution: Solution
    livekit: livekit.LiveKit
    mongodb: mongodb.MongoDB
    redis: redis.Redis
    metrics: metrics_store.MetricsStore
    kernel: KernelSampler
    pipeline: Mapping[str, str]
    entrypoint: Path = workers_.AGENT
    further: Mapping[str, Running] = field(default_factory=dict)
    workers: dict[str, Worker] = field(default_factory=dict)
    peak_workers: int = 0
    exit_statuses: dict[str, int] = field(default_factory=dict)
    left_behind: list[str] = field(default_factory=list)
    """Processes that outlived the worker that had started them; they were killed."""
    _numbers: count[int] = field(default_factory=lambda: count(1))

    @property
    def environment(self) -> dict[str, str]:
        """What every worker of this stack gets: the solved numbers, and where its servers are."""
        return {
            **self.pipeline,
            **worker_environment(self.solution),
            "AGENT_NAME": AGENT_NAME,
            "LIVEKIT_URL": self.livekit.url,
            "LIVEKIT_API_KEY": self.livekit.key,
            "LIVEKIT_API_SECRET": self.livekit.secret,
            "MONGODB_URL": self.mongodb.url,
            "MONGODB_DATABASE": mongodb.DATABASE,
            "REDIS_URL": self.redis.url,
            **{name: value for each in self.further.values() for name, value in each.environment.items()},
        }

    @property
    def datastores(self) -> list[Datastore]:
        """What the budget says of those that run here."""
        return [self.solution.datastores[name] for name in (MONGODB, REDIS, *self.further)]

    @property
    def line(self) -> Line:
        """Where calls to this stack are placed."""
        return Line(self.livekit.url, self.livekit.key, self.livekit.secret, AGENT_NAME)

    async def start_worker(self) -> Worker:
        """Start one more worker, wait until it is registered, have it scraped and its slots counted."""
        name = f"worker-{next(self._numbers)}"
        worker = await workers_.start(self.run, name, self.environment, entrypoint=self.entrypoint)
        self.workers[name] = worker
        self.peak_workers = max(self.peak_workers, len(self.workers))
        self.kernel.slot_directories[name] = worker.slot_directory
        self._scrape()
        return worker

    async def stop_worker(self, worker: Worker, *, within: float) -> int:
        """Drain a worker: SIGTERM, at most `within` seconds until it is gone, then SIGKILL. Its exit status."""
        status = await self.run.stop(worker.process, within=within)
        self.workers.pop(worker.name, None)
        self.exit_statuses[worker.name] = status
        self.left_behind += worker.process.left_behind
        self._scrape()
        return status

    async def stop_workers(self, *, within: float) -> None:
        """Drain all of them at once."""
        await together(self.stop_worker(worker, within=within) for worker in list(self.workers.values()))

    def _scrape(self) -> None:
        self.metrics.scrape({name: worker.metrics_port for name, worker in self.workers.items()})


def build() -> None:
    """Build and install what is missing of every stack's servers, for minutes. Raises BuildError."""
    mongodb.program()
    build_missing(SERVERS)


@asynccontextmanager
async def running(
    run: Run,
    solution: Solution,
    *,
    workers: int,
    say: Say,
    pipeline: Mapping[str, str] = MappingProxyType({}),
    entrypoint: Path = workers_.AGENT,
) -> AsyncIterator[Stack]:
    """Start everything, and drain the workers at the end; `run` stops the servers then.

    Args:
        say: is told, line by line, what has come up.
        pipeline: variables that configure models for the agent; none: it is scripted and needs no key.
        entrypoint: the file with the workers' server.

    Raises:
        StartFailed: with the name of what did not come up and its last log lines.
    """
    # Neither plan nor limit in the stack file: the servers are ours, and the budget says how to set them.
    mongodb_limit, redis_limit = solution.datastores[MONGODB].limit, solution.datastores[REDIS].limit
    livekit_server = await livekit.start(run)
    mongodb_server = await mongodb.start(run, mongodb_limit)
    redis_server = await redis.start(run, redis_limit)
    metrics = await metrics_store.start(run)
    say(
        f"servers up: livekit-server, MongoDB wire (SecantusDB) with at most {mongodb_limit} connections, "
        f"Valkey with maxclients {redis_limit}, VictoriaMetrics"
    )
    others: dict[str, Running] = {}
    for name in further.NAMES:
        if name in solution.datastores:
            connections = solution.datastores[name].limit
            others[name] = await further.server_of(name).start(run, connections)
            say(f"server up: {solution.datastores[name].title}")
    if others and entrypoint == workers_.AGENT:
        entrypoint = FURTHER_AGENT
    endpoints = {
        MONGODB: Endpoint(mongodb_server.process.pid, mongodb_server.port),
        REDIS: Endpoint(redis_server.process.pid, redis_server.port),
        **{name: other.endpoint for name, other in others.items()},
    }
    with KernelSampler(endpoints) as kernel:
        stack = Stack(
            run,
            solution,
            livekit_server,
            mongodb_server,
            redis_server,
            metrics,
            kernel,
            pipeline,
            entrypoint,
            others,
        )
        await workers_.make_indexes(run, stack.environment)
        say("indexes made")
        await together(stack.start_worker() for _ in range(workers))
        say(f"{workers} workers registered, {solution.fleet.slots} slots each")
        try:
            yield stack
        finally:
            await stack.stop_workers(within=STOP_SECONDS)
