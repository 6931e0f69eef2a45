"""What the tests of rows share."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest

from tests.faults.recording import take
from tests.faults.row import Result


@pytest.fixture
def record(request: pytest.FixtureRequest) -> Callable[[Result], None]:
    """Takes the result of a row; fails the test if the row failed, skips it if it was not run."""
    return partial(take, request.node)
