"""`python -m tests.faults.gauges_worker`: what a worker's main process does for its gauges, beside thousands of jobs.

The real sweeper and LiveKit's own /metrics server; the jobs are those of gauges_jobs.py. Prints what it saw as JSON.
The environment is a worker's (AGENT_SLOT_DIRECTORY, AGENT_SLOTS, PROMETHEUS_MULTIPROC_DIR, …).
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import shutil
import statistics
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

import aiohttp
from livekit.agents.telemetry.http_server import HttpServer

from agent.runtime import metrics, sweeper
from agent.runtime.scope import Scope
from agent.runtime.settings import WorkerSettings
from infra.local.eventually import eventually
from infra.local.gauges import Gauges, parse
from infra.local.ports import LOOPBACK

# A worker sweeps once a second; 20 times as often, the sweeper meets as many jobs in the act as in 20 times the jobs.
SWEEP_SECONDS = 0.05
SCRAPE_EVERY_SECONDS = 0.1
# For all jobs of a run; 10 000 take a minute where nothing else runs.
JOBS_SECONDS = 1500.0
# Invariant 6: the truth within seconds of any death.
TRUTH_SECONDS = 5.0
# Scrapes of the directory as it was after the warm-up and as it is at the end take turns, so that a busy machine slows
# both alike.
PAIRS = 40


@dataclass
class Size:
    """What a metrics directory costs."""

    files: int
    bytes: int
    scrape_ms: float = 0.0
    """Median of `PAIRS`."""


@dataclass
class Seen:
    """All of it."""

    outcomes: dict[str, int] = field(default_factory=dict)
    """As the jobs were told to end."""
    opened: int = 0
    truth_seconds: float = 0.0
    """From the end of the last job until no gauge of a dead job was left."""
    scrapes: int = 0
    """Under load; each was answered and could be parsed."""
    most_running: int = 0
    most_connections: int = 0
    last: dict[str, object] = field(default_factory=dict)
    """The gauges when no job was left."""
    early: Size | None = None
    late: Size | None = None


class Worker:
    """The main process's part."""

    def __init__(self, settings: WorkerSettings, port: int, session: aiohttp.ClientSession) -> None:
        self.seen = Seen()
        self._settings, self._session = settings, session
        self._url = f"http://{LOOPBACK}:{port}/metrics"

    async def jobs(self, number: int, seed: int) -> None:
        """Run them in a process of their own (a fork of this one would copy its threads' locks), scraping beside."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.faults.gauges_jobs", str(number), str(seed)),
            stdout=asyncio.subprocess.PIPE,
        )
        ending = asyncio.create_task(process.communicate())

        async def scraped() -> bool:
            await self._scrape_under_load()
            return ending.done()

        await eventually(scraped, within=JOBS_SECONDS, what="the last job", every=SCRAPE_EVERY_SECONDS)
        output, _ = await ending
        if process.returncode:
            raise RuntimeError(f"the jobs ended with status {process.returncode}")
        told = json.loads(output)
        for outcome, jobs in told["outcomes"].items():
            self.seen.outcomes[outcome] = self.seen.outcomes.get(outcome, 0) + jobs
        self.seen.opened += told["opened"]
        await self._truth()

    async def compare(self, early: Path) -> None:
        """What the two directories cost; the sweeper must have been stopped, since this names the scraped one."""
        late = self._settings.metrics_directory
        seconds: dict[Path, list[float]] = {early: [], late: []}
        for _ in range(PAIRS):
            for directory, taken in seconds.items():
                os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(directory)
                began = time.perf_counter()
                await self._scrape()
                taken.append(time.perf_counter() - began)
        self.seen.early, self.seen.late = (
            _size(directory, statistics.median(seconds[directory])) for directory in (early, late)
        )

    async def _truth(self) -> None:
        began = time.monotonic()
        directory = self._settings.metrics_directory
        await eventually(
            lambda: not any(name.startswith("slot") for name in metrics.live_identities(directory)),
            within=TRUTH_SECONDS,
            what="no gauge of a dead job",
            every=0.01,
        )
        self.seen.truth_seconds = max(self.seen.truth_seconds, round(time.monotonic() - began, 3))
        gauges = await self._scrape()
        opening = gauges.opening.get("mongodb")
        self.seen.last = {
            "outcomes": gauges.outcomes,
            "running": gauges.running,
            "connections": sum(gauges.total(name) for name in gauges.connections),
            "opened": opening.count if opening else 0,
        }

    async def _scrape(self) -> Gauges:
        async with self._session.get(self._url) as response:
            response.raise_for_status()
            return parse(await response.text())

    async def _scrape_under_load(self) -> None:
        gauges = await self._scrape()
        self.seen.scrapes += 1
        self.seen.most_running = max(self.seen.most_running, gauges.running)
        total = sum(gauges.total(name) for name in gauges.connections)
        self.seen.most_connections = max(self.seen.most_connections, total)


def _size(directory: Path, seconds: float) -> Size:
    files = list(directory.iterdir())
    return Size(len(files), sum(file.stat().st_size for file in files), round(seconds * 1000, 2))


async def main(warm_up: int, jobs: int, seed: int) -> None:
    logging.getLogger("agent.runtime").setLevel(logging.ERROR)  # a line for each dead job otherwise
    settings = WorkerSettings.from_environment()
    metrics.install()
    metrics.claim(settings.metrics_directory)
    sweeper.INTERVAL_SECONDS = SWEEP_SECONDS
    sweeping = asyncio.create_task(
        sweeper.Sweeper(settings, Scope("worker", 1.0), state=lambda: "serving").run()
    )
    server = HttpServer(LOOPBACK, 0)
    await server.start()
    async with aiohttp.ClientSession() as session:
        worker = Worker(settings, server.port, session)
        await worker.jobs(warm_up, seed)
        early = settings.metrics_directory.with_name("early")
        shutil.copytree(settings.metrics_directory, early)
        await worker.jobs(jobs - warm_up, seed + 1)
        sweeping.cancel()
        await worker.compare(early)
    await server.aclose()
    print(json.dumps(asdict(worker.seen)))


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))
