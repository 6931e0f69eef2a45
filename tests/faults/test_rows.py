"""Rows of the fault matrix about jobs and workers, on one set of servers; the rows about jobs share a worker."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import pytest_asyncio

from infra.local.worker import Worker
from tests.faults import rows_capacity, rows_jobs, rows_machine, rows_workers
from tests.faults.bench import Bench
from tests.faults.row import ON_SERVERS, Result, Row, each, run

pytestmark = ON_SERVERS


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(bench: Bench) -> AsyncIterator[Worker]:
    async with bench.worker() as worker:
        yield worker


@each(jobs=[*rows_jobs.ROWS, *rows_machine.ROWS_OF_A_JOB])
async def test_a_job_ends(
    row: Row[rows_jobs.On], bench: Bench, shared: Worker, record: Callable[[Result], None]
) -> None:
    record(await run(row, rows_jobs.On(bench, shared)))


# Last: a worker that registers costs the next call of any worker 5 s (livekit-server asks all nodes again).
@each(capacity=rows_capacity.ROWS, workers=[*rows_workers.ROWS, *rows_machine.ROWS_OF_A_WORKER])
async def test_a_worker_holds_its_cap_and_ends(
    row: Row[Bench], bench: Bench, record: Callable[[Result], None]
) -> None:
    record(await run(row, bench))
