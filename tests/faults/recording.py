"""Gathers the results of all rows of a test run, prints the table at its end and saves it.

A row leaves its result on the report of its test, which reaches the process that prints from whichever process ran it.

FAULTS_OUTPUT names the directory (default build/faults), FAULTS_DOCS a file that gets the Markdown as well, and
FAULTS_REMARK a sentence for it.
"""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path

import pytest

from infra.local.run import OUTPUT
from tests.faults import table
from tests.faults.row import NOT_RUN, Result

PROPERTY = "fault row"


def take(test: pytest.Item, result: Result) -> None:
    """Keep the result of a row; fail its test if the row failed, skip it if it was not run."""
    test.user_properties.append((PROPERTY, (test.session.items.index(test), asdict(result))))
    if result.outcome == NOT_RUN:
        pytest.skip(result.note)
    assert result.passed, f"{result.row}: {result.note}"


class Recorder:
    """Of the process that prints; what it gathered is in the order of the tests, whichever ended first."""

    def __init__(self) -> None:
        self._results: dict[int, Result] = {}

    @property
    def results(self) -> list[Result]:
        return [self._results[place] for place in sorted(self._results)]

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        for name, value in report.user_properties:
            if name == PROPERTY and isinstance(value, tuple):
                place, result = value
                self._results[place] = Result(**result)

    def pytest_terminal_summary(self) -> None:
        if not self._results:
            return
        docs = os.environ.get("FAULTS_DOCS")
        output = Path(os.environ.get("FAULTS_OUTPUT") or OUTPUT / "faults")
        table.show(self.results, width=160)
        table.save(
            self.results,
            output,
            docs=Path(docs) if docs else None,
            remark=os.environ.get("FAULTS_REMARK", ""),
        )
        print(f"saved: {output}/faults.md, faults.json")
