"""What is measured, and in which order: the ways take turns, so that what else the machine does meets all of them."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from infra.local.eventually import eventually
from tests.benchmarks.bench import Bench, JobProcess
from tests.benchmarks.ways import WAYS, Way
from tests.faults.gauges_run import measured

MODELS = (1, 5, 20)
RTTS = (0.0, 0.001, 0.005)
TYPICAL = (5, 0.001)
# Every number of models at 1 ms, every round-trip time for 5 models.
FIRST = ((1, 0.001), (5, 0.0), TYPICAL, (5, 0.005), (20, 0.001), (20, 0.005))
BURSTS = (10, 50)
WIDTHS = (1, 2, 10, 50)
POOLS = (1, 2, 3, 5, 10)
LOAD_RTT = 0.001
LOAD_SECONDS = 0.7
GOAL_WIDTHS = (1, 2)
TURN_SECONDS = 0.35
KINDS = ("mongodb", "redis")
CHURN_AT_ONCE = 4
SCRAPED_JOBS = 10_000
GONE_SECONDS = 30.0

Say = Callable[[str], None]


@dataclass
class Results:
    """Plain data: the source of page, pictures and JSON. Keys are (way, …) as their names say; times in seconds."""

    first: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    """way/models/rtt → from the first line to first document and first value."""
    first_cpu: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    round_trips: dict[str, list[list[int]]] = field(default_factory=lambda: defaultdict(list))
    """way/models, and way/models/tls → [MongoDB's, Redis's]."""
    connections: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    """way/idle or way/burst → of both datastores together, for one job."""
    bursts: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    """way/burst → seconds."""
    p99: dict[str, float] = field(default_factory=dict)
    """way/datastore/pool/width → of one operation."""
    rate: dict[str, float] = field(default_factory=dict)
    churn: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    """way → jobs a second."""
    gone: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    """way/end or way/kill → until no connection is left."""
    memory: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    """way → bytes that a job's process shares with nobody."""
    scrape: dict[str, dict[str, float]] = field(default_factory=dict)
    """early (100 jobs) or late (10 000) → files, bytes, scrape_ms of a worker's metrics."""


async def scrape(directory: Path, results: Results) -> None:
    """What /metrics of a worker costs after 100 jobs and after 10 000, scraped in turns."""
    seen = await asyncio.to_thread(measured, directory, SCRAPED_JOBS)
    results.scrape = {when: seen[when] for when in ("early", "late")}


async def everything(bench: Bench, repeats: int, say: Say) -> Results:
    results = Results()
    for part in (first_document, load, churn, endings):
        began = time.monotonic()
        await part(bench, repeats, results)
        say(f"{part.__name__.replace('_', ' ')}: {time.monotonic() - began:.0f} s")
    return results


async def first_document(bench: Bench, repeats: int, results: Results) -> None:
    """Round trips, time and connections of one job at a time."""
    for models, rtt in FIRST:
        bench.slow(rtt)
        for _ in range(repeats):
            for way in WAYS:
                job = await bench.job(way, models)
                where = f"{way}/{models}"
                results.first[f"{where}/{rtt:g}"].append(job.seconds)
                results.first_cpu[f"{where}/{rtt:g}"].append(job.cpu_seconds)
                results.round_trips[where].append(list(bench.round_trips().values()))
                if (models, rtt) == TYPICAL:
                    await _connections(bench, job, way, results)
                await job.close()
    bench.slow(0)


async def first_document_by_tls(bench: Bench, results: Results) -> None:
    """Round trips alone: what a handshake costs in time, this process's TLS would say of no server."""
    for models in MODELS:
        for way in WAYS:
            job = await bench.job(way, models)
            results.round_trips[f"{way}/{models}/tls"].append(list(bench.round_trips().values()))
            await job.close()


async def _connections(bench: Bench, job: JobProcess, way: Way, results: Results) -> None:
    results.connections[f"{way}/idle"].append(sum(bench.open().values()))
    results.memory[way].append(await job.ask("memory"))
    for burst in BURSTS:
        results.bursts[f"{way}/{burst}"].append(await job.ask(("burst", burst)))
        results.connections[f"{way}/{burst}"].append(sum(bench.open().values()))


async def load(bench: Bench, repeats: int, results: Results) -> None:
    """p99 and operations a second by pool and by operations at once."""
    bench.slow(LOAD_RTT)
    combinations: list[tuple[Way, int]] = [("ours", pool) for pool in POOLS]
    combinations += [("tuned", 2), ("forum", 0)]
    took: dict[str, list[float]] = defaultdict(list)
    spent: dict[str, float] = defaultdict(float)

    async def loaded(job: JobProcess, way: Way, pool: int, width: int, seconds: float) -> None:
        for kind in KINDS:
            where = f"{way}/{kind}/{pool}/{width}"
            took[where] += await job.ask(("load", kind, width, seconds))
            spent[where] += seconds

    async def filled(way: Way, pool: int) -> JobProcess:
        job = await bench.job(way, 1, pool or 2)
        for kind in KINDS:
            await job.ask(("load", kind, max(WIDTHS), 0.2))  # its connections are there then
        return job

    for _ in range(max(repeats // 4, 1)):
        for way, pool in combinations:
            job = await filled(way, pool)
            for width in WIDTHS:
                await loaded(job, way, pool, width, LOAD_SECONDS)
            await job.close()
    # What a goal compares, again: open together, in short turns, for what else the machine does comes and goes.
    compared: list[tuple[Way, int]] = [("ours", 2), ("tuned", 2), ("forum", 0)]
    jobs = [await filled(way, pool) for way, pool in compared]
    for _ in range(repeats):
        for job, (way, pool) in zip(jobs, compared, strict=True):
            for width in GOAL_WIDTHS:
                await loaded(job, way, pool, width, TURN_SECONDS)
    for job in jobs:
        await job.close()
    for where, seconds in took.items():
        ordered = sorted(seconds)
        results.p99[where] = ordered[min(int(len(ordered) * 0.99), len(ordered) - 1)]
        results.rate[where] = len(ordered) / spent[where]
    bench.slow(0)


async def churn(bench: Bench, repeats: int, results: Results) -> None:
    """Jobs a second: warm, opened, one read each, closed, gone; several at once, one after the other in each place."""
    jobs = 6

    async def one_after_the_other(way: Way) -> None:
        for _ in range(jobs):
            job = await bench.warm(way)
            await job.ask("go")
            await job.close()

    for _ in range(max(repeats // 3, 2)):
        for way in WAYS:
            began = time.perf_counter()
            await asyncio.gather(*(one_after_the_other(way) for _ in range(CHURN_AT_ONCE)))
            results.churn[way].append(CHURN_AT_ONCE * jobs / (time.perf_counter() - began))


async def endings(bench: Bench, repeats: int, results: Results) -> None:
    """Seconds until the servers' side has no connection of a job any more."""

    async def gone(since: float) -> float:
        await eventually(
            lambda: not any(bench.open().values()), within=GONE_SECONDS, what="no connection", every=0.005
        )
        return time.perf_counter() - since

    for _ in range(repeats):
        for way in WAYS:
            job = await bench.job(way)
            await job.ask(("burst", 10))
            began = time.perf_counter()
            closing = asyncio.create_task(job.close())
            results.gone[f"{way}/end"].append(await gone(began))
            await closing
            job = await bench.job(way)
            await job.ask(("burst", 10))
            began = time.perf_counter()
            await job.kill()
            results.gone[f"{way}/kill"].append(await gone(began))
            await job.ended()


def middle(values: list[Any]) -> float:
    return float(median(values))
