"""Rows of the fault matrix about jobs and workers, on one set of servers; the rows about jobs share a worker."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import pytest
import pytest_asyncio

from infra.local.worker import Worker
from tests.faults import rows_capacity, rows_jobs, rows_workers
from tests.faults.bench import Bench, servers
from tests.faults.row import Result, Row, run

pytestmark = [
    pytest.mark.integration,
    pytest.mark.timeout(180),
    pytest.mark.asyncio(loop_scope="module"),
]


def each(rows: Sequence[Row[Any]]) -> pytest.MarkDecorator:
    marked = [pytest.param(row, id=row.name, marks=[pytest.mark.soak] if row.soak else []) for row in rows]
    return pytest.mark.parametrize("row", marked)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def bench(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Bench]:
    async with servers(tmp_path_factory.mktemp("faults")) as bench:
        yield bench


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(bench: Bench) -> AsyncIterator[Worker]:
    async with bench.worker() as worker:
        yield worker


@each(rows_jobs.ROWS)
async def test_a_job_ends(
    row: Row[rows_jobs.On], bench: Bench, shared: Worker, record: Callable[[Result], None]
) -> None:
    record(await run(row, rows_jobs.On(bench, shared)))


# Last: a worker that registers costs the next call of any worker 5 s (livekit-server asks all nodes again).
@each([*rows_capacity.ROWS, *rows_workers.ROWS])
async def test_a_worker_holds_its_cap_and_ends(
    row: Row[Bench], bench: Bench, record: Callable[[Result], None]
) -> None:
    record(await run(row, bench))
