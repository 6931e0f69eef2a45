"""A quiet point of the soak: no job runs, so whatever is still held beyond the workers' own share is leaked."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import psutil

from infra.local.processes import alive, descriptors
from infra.local.stack import MONGODB, REDIS, Stack
from infra.local.worker import Worker
from tests.faults.patience import eventually
from tests.faults.soak_load import Load, Totals

# Until nothing of the last jobs is left: they end within 2 s; the warm process that follows takes a few more.
QUIET_SECONDS = 30.0
SCRAPES = 15
# Squares to add up: about as long as a scrape.
YARDSTICK = 150_000
MIB = 1 << 20


@dataclass(frozen=True)
class Quiet:
    """What was there when no job ran."""

    at: float
    """Seconds since the soak began."""
    settled_seconds: float | None
    """Until jobs, slots, connections and gauges agreed that no job runs; None: not within `QUIET_SECONDS`."""
    placed: int
    kills: int
    asked_to_fail: int
    totals: Totals
    kernel: dict[str, int]
    """Datastore → connections at the server's end."""
    gauges: dict[str, int]
    """Datastore → connections that the workers say they hold."""
    share: dict[str, int]
    """Datastore → what the workers without a job may hold."""
    peak: dict[str, int]
    """Datastore → the most connections in the kernel at any sample so far."""
    peak_since: dict[str, int]
    """The same since the quiet point before."""
    peak_slots: int
    """The most slots of one worker owned at any sample so far."""
    slots: int
    running: int
    descriptors: dict[str, int]
    """Process → open file descriptors: the workers' main processes and the servers."""
    processes: dict[str, int]
    """Worker → its processes, itself included."""
    zombies: int
    files: dict[str, int]
    """Worker → files in its metrics directory."""
    kibibytes: dict[str, int]
    rss_mib: dict[str, float]
    """Worker → resident memory of its main process."""
    scrape_ms: dict[str, float]
    """Worker → how long its /metrics takes: the least of `SCRAPES`, which other work on the machine delays least."""
    yardstick_ms: float
    """The same of a fixed computation in between: two cores of one are slower while both work, jobs or no jobs."""

    @property
    def jobs(self) -> int:
        return self.totals.accepted

    @property
    def scrape(self) -> dict[str, float]:
        """Worker → its scrape as a multiple of the yardstick, which does not tell how fast the machine just was."""
        return {worker: round(ms / self.yardstick_ms, 2) for worker, ms in self.scrape_ms.items()}


class Observer:
    """Takes quiet points of one soak; keeps them in order in `points`."""

    def __init__(self, stack: Stack, load: Load, session: aiohttp.ClientSession) -> None:
        self.points: list[Quiet] = []
        self._stack, self._load, self._session = stack, load, session
        self._began = time.monotonic()
        self._looked_at = 0

    async def quiet(self) -> Quiet:
        """Wait until the last job is gone, then look at everything."""
        began = time.monotonic()
        try:
            await eventually(self._settled, within=QUIET_SECONDS, what="a quiet point", every=0.2)
            settled: float | None = time.monotonic() - began
        except TimeoutError:
            settled = None
        point = await self._point(settled)
        self.points.append(point)
        return point

    async def _settled(self) -> bool:
        gauges = list((await self._load.gauges()).values())
        totals, kernel = Totals.of(gauges), self._stack.kernel.sample()
        return (
            len(gauges) == len(self._stack.workers)
            and not any(kernel.slots.values())
            and not any(each.running for each in gauges)
            and totals.ended == totals.accepted
            and all(
                sum(each.total(name) for each in gauges) == kernel.connections[name]
                for name in (MONGODB, REDIS)
            )
            and all(self._warm(worker) for worker in self._stack.workers.values())
        )

    def _warm(self, worker: Worker) -> bool:
        """As many processes as at the first quiet point: the warm ones have been made anew."""
        return not self.points or len(_family(worker)) == self.points[0].processes[worker.name]

    async def _point(self, settled: float | None) -> Quiet:
        stack, samples = self._stack, self._stack.kernel.samples
        gauges = await self._load.gauges()
        kernel = stack.kernel.sample()
        since, self._looked_at = samples[self._looked_at :], len(samples)
        workers = dict(sorted(stack.workers.items()))
        scrape_ms, yardstick_ms = await self._scrapes(list(workers.values()))
        watched = {name: worker.process.pid for name, worker in workers.items()} | {
            "livekit-server": stack.livekit.process.pid,
            "MongoDB": stack.mongodb.process.pid,
            "Valkey": stack.redis.process.pid,
        }
        datastores = {name: stack.solution.datastores[name] for name in (MONGODB, REDIS)}
        return Quiet(
            at=round(time.monotonic() - self._began, 1),
            settled_seconds=None if settled is None else round(settled, 2),
            placed=self._load.placed,
            kills=self._load.kills,
            asked_to_fail=self._load.asked_to_fail,
            totals=Totals.of(list(gauges.values())),
            kernel=kernel.connections,
            gauges={name: sum(each.total(name) for each in gauges.values()) for name in datastores},
            share={name: each.per_worker * len(workers) for name, each in datastores.items()},
            peak={name: stack.kernel.peak(name) for name in datastores},
            peak_since={name: max(sample.connections[name] for sample in since) for name in datastores},
            peak_slots=max(max(sample.slots.values(), default=0) for sample in samples),
            slots=sum(kernel.slots.values()),
            running=sum(each.running for each in gauges.values()),
            descriptors={name: descriptors(pid) for name, pid in watched.items()},
            processes={name: len(_family(worker)) for name, worker in workers.items()},
            zombies=sum(_zombie(p) for worker in workers.values() for p in _family(worker)),
            files={name: len(list(metrics_directory(worker).iterdir())) for name, worker in workers.items()},
            kibibytes={
                name: sum(file.stat().st_size for file in metrics_directory(worker).iterdir()) // 1024
                for name, worker in workers.items()
            },
            rss_mib={
                name: round(psutil.Process(worker.process.pid).memory_info().rss / MIB, 1)
                for name, worker in workers.items()
            },
            scrape_ms=scrape_ms,
            yardstick_ms=yardstick_ms,
        )

    async def _scrapes(self, workers: list[Worker]) -> tuple[dict[str, float], float]:
        """The least of `SCRAPES` for every worker, and of the yardstick, taken in turn."""
        seconds: dict[str, list[float]] = {worker.name: [] for worker in workers}
        yardstick = []
        for _ in range(SCRAPES):
            for worker in workers:
                began = time.perf_counter()
                async with self._session.get(worker.metrics_url) as response:
                    await response.read()
                seconds[worker.name].append(time.perf_counter() - began)
            began = time.perf_counter()
            sum(number * number for number in range(YARDSTICK))
            yardstick.append(time.perf_counter() - began)
        least = {name: round(min(taken) * 1000, 2) for name, taken in seconds.items()}
        return least, round(min(yardstick) * 1000, 2)


def metrics_directory(worker: Worker) -> Path:
    """Beside the slots: see infra/local/worker.py."""
    return worker.slot_directory.parent / "metrics"


def _family(worker: Worker) -> list[psutil.Process]:
    main = psutil.Process(worker.process.pid)
    return [main, *main.children(recursive=True)]


def _zombie(process: psutil.Process) -> bool:
    return process.is_running() and not alive(process.pid)
