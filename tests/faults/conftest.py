"""Gathers the results of all rows of a test run, prints the table at its end and saves it.

FAULTS_OUTPUT names the directory (default build/faults), FAULTS_DOCS a file that gets the Markdown as well, and
FAULTS_REMARK a sentence for it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from infra.local.run import OUTPUT
from tests.faults import table
from tests.faults.row import NOT_RUN, Result

RESULTS = pytest.StashKey[list[Result]]()


@pytest.fixture(scope="session")
def record(request: pytest.FixtureRequest) -> Callable[[Result], None]:
    """Takes the result of a row; fails the test if the row failed, skips it if it was not run."""
    results = request.config.stash.setdefault(RESULTS, [])

    def take(result: Result) -> None:
        results.append(result)
        if result.outcome == NOT_RUN:
            pytest.skip(result.note)
        assert result.passed, f"{result.row}: {result.note}"

    return take


def pytest_terminal_summary(config: pytest.Config) -> None:
    results = config.stash.get(RESULTS, [])
    if not results:
        return
    docs = os.environ.get("FAULTS_DOCS")
    output = Path(os.environ.get("FAULTS_OUTPUT") or OUTPUT / "faults")
    table.show(results, width=160)
    table.save(
        results,
        output,
        docs=Path(docs) if docs else None,
        remark=os.environ.get("FAULTS_REMARK", ""),
    )
    print(f"saved: {output}/faults.md, faults.json")
