"""One agent worker as a process: the same command and environment as in a pod, on ports of this machine."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from infra.local.gauges import Gauges, parse
from infra.local.ports import LOOPBACK, free_port, retry_on_clash
from infra.local.process import Process
from infra.local.run import Run
from infra.local.servers.probes import answers_http

COMMAND = [sys.executable, "-m", "livekit.agents", "start"]
AGENT = Path("agent/worker.py")
INDEXES = [sys.executable, "-m", "agent", "indexes"]
# Importing the agent framework takes 2 to 5 s on a busy laptop; registering and checking the indexes follow.
START_SECONDS = 60.0
INDEXES_SECONDS = 60.0
SCRAPE_SECONDS = 2.0


@dataclass(frozen=True)
class Worker:
    """A running worker."""

    name: str
    process: Process
    http_port: int
    metrics_port: int
    slot_directory: Path

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.http_port}"

    @property
    def metrics_url(self) -> str:
        return f"http://{LOOPBACK}:{self.metrics_port}/metrics"

    async def gauges(self, session: aiohttp.ClientSession) -> Gauges | None:
        """Its gauges now; None when it does not answer within `SCRAPE_SECONDS`."""
        timeout = aiohttp.ClientTimeout(total=SCRAPE_SECONDS)
        try:
            async with session.get(self.metrics_url, timeout=timeout) as response:
                return parse(await response.text()) if response.status == 200 else None
        except (aiohttp.ClientError, TimeoutError):
            return None


async def start(run: Run, name: str, environment: Mapping[str, str], *, entrypoint: Path = AGENT) -> Worker:
    """Start a worker and wait until it is registered.

    Args:
        environment: wins over what is set here (directories), so that a test can have two workers share one.
        entrypoint: the file with the server; another than the user's own to test what an agent may do wrong.

    Raises:
        StartFailed: it ended instead (its lifespan could not be opened, say) or was not ready in time.
    """
    return await retry_on_clash(lambda: _start(run, name, environment, entrypoint))


async def _start(run: Run, name: str, environment: Mapping[str, str], entrypoint: Path) -> Worker:
    http_port, metrics_port = free_port(), free_port()
    # Two directories: LiveKit empties the second whenever a worker starts.
    slots, metrics = run.directory(f"{name}/slots"), run.directory(f"{name}/metrics")
    own = {
        "AGENT_HOST": LOOPBACK,
        "AGENT_HTTP_PORT": str(http_port),
        "AGENT_METRICS_PORT": str(metrics_port),
        "AGENT_SLOT_DIRECTORY": str(slots),
        "PROMETHEUS_MULTIPROC_DIR": str(metrics),
    }
    own |= environment
    process = run.start(name, [*COMMAND, entrypoint], environment=own)
    await process.ready(lambda: answers_http(f"http://{LOOPBACK}:{http_port}/ready"), within=START_SECONDS)
    return Worker(name, process, http_port, metrics_port, Path(own["AGENT_SLOT_DIRECTORY"]))


async def make_indexes(run: Run, environment: Mapping[str, str]) -> None:
    """Run the command that makes the indexes; workers only check them.

    Raises:
        StartFailed: it did not end with status 0 in time.
    """
    process = run.start("indexes", INDEXES, environment=environment)
    await process.finished(within=INDEXES_SECONDS)
    await run.stop(process)
