"""What the workers say of themselves, asked once a second and kept: the latest answers, the peaks, the series."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field

import aiohttp

from infra.local.gauges import Gauges
from infra.local.worker import Worker

INTERVAL_SECONDS = 1.0


@dataclass
class Watch:
    """Gauges of `workers`, a live mapping: whoever is in it is asked."""

    workers: Mapping[str, Worker]
    latest: dict[str, Gauges] = field(default_factory=dict)
    """The last answer of every worker that ever answered, ended ones included."""
    peak_running: dict[str, int] = field(default_factory=dict)
    series: list[tuple[float, dict[str, Gauges]]] = field(default_factory=list)
    """(time.monotonic(), worker → gauges) of every look."""

    async def look(self, session: aiohttp.ClientSession) -> dict[str, Gauges]:
        """Ask every worker now."""
        asked = list(self.workers.items())
        answers = await asyncio.gather(*(worker.gauges(session) for _, worker in asked))
        seen = {name: gauges for (name, _), gauges in zip(asked, answers, strict=True) if gauges is not None}
        self.latest.update(seen)
        for name, gauges in seen.items():
            self.peak_running[name] = max(self.peak_running.get(name, 0), gauges.running)
        self.series.append((time.monotonic(), seen))
        return seen

    async def keep_looking(self, session: aiohttp.ClientSession) -> None:
        """Until cancelled."""
        while True:
            await self.look(session)
            await asyncio.sleep(INTERVAL_SECONDS)


@contextlib.asynccontextmanager
async def watching(workers: Mapping[str, Worker]) -> AsyncIterator[Watch]:
    """Look once a second while inside."""
    watch = Watch(workers)
    async with aiohttp.ClientSession() as session:
        looking = asyncio.create_task(watch.keep_looking(session))
        try:
            yield watch
        finally:
            looking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await looking
