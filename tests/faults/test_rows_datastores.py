"""Rows of the fault matrix about datastores that misbehave: one set of servers, one worker behind two proxies."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import pytest
import pytest_asyncio

from infra.local.worker import Worker
from tests.faults import rows_failover, rows_job_start, rows_mid_call, rows_outage
from tests.faults.datastore_faults import On
from tests.faults.datastores_bench import Proxied, proxied
from tests.faults.row import ON_SERVERS, Result, Row, each, run

pytestmark = ON_SERVERS


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def at(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Proxied]:
    async with proxied(tmp_path_factory.mktemp("faults")) as at:
        yield at


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(at: Proxied) -> AsyncIterator[Worker]:
    async with at.worker() as worker:
        yield worker


@each(mid_call=rows_mid_call.ROWS, job_start=rows_job_start.ROWS)
async def test_a_datastore_misbehaves(
    row: Row[On], at: Proxied, shared: Worker, record: Callable[[Result], None]
) -> None:
    record(await run(row, On(at, shared)))


@each(outage=rows_outage.ROWS, failover=rows_failover.ROWS)
async def test_an_outage(row: Row[Proxied], at: Proxied, record: Callable[[Result], None]) -> None:
    record(await run(row, at))
