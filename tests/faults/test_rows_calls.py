"""Rows of the fault matrix about calls, each beside a plain AgentServer's, on servers that they may restart."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import pytest_asyncio

from tests.faults import rows_calls, rows_control, rows_takeover
from tests.faults.bench import Bench
from tests.faults.calls_bench import Calls, calls
from tests.faults.row import ON_SERVERS, Result, Row, each, run

pytestmark = ON_SERVERS


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def on(bench: Bench) -> AsyncIterator[Calls]:
    async with calls(bench) as on:
        yield on


@each(calls=rows_calls.ROWS, takeover=rows_takeover.ROWS)
async def test_a_call_goes_on_or_ends(row: Row[Calls], on: Calls, record: Callable[[Result], None]) -> None:
    record(await run(row, on))


@each(control=rows_control.ROWS)
async def test_a_worker_outlives_livekit(
    row: Row[Bench], bench: Bench, record: Callable[[Result], None]
) -> None:
    record(await run(row, bench))
