"""What the tests of rows share."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from functools import partial

import pytest
import pytest_asyncio

from tests.faults.bench import Bench, servers
from tests.faults.recording import take
from tests.faults.row import Result


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def bench(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Bench]:
    """Servers of a file's own, no worker yet."""
    async with servers(tmp_path_factory.mktemp("faults")) as bench:
        yield bench


@pytest.fixture
def record(request: pytest.FixtureRequest) -> Callable[[Result], None]:
    """Takes the result of a row; fails the test if the row failed, skips it if it was not run."""
    return partial(take, request.node)
