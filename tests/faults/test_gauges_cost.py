"""Gauges cost after thousands of jobs what they cost after a hundred, and count every one of them, killed ones too."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.faults.gauges_run import SLOTS, measured

GROWTH = 1.2


@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    "jobs",
    [
        pytest.param(2_000, marks=pytest.mark.integration, id="2000 jobs"),
        pytest.param(10_000, marks=pytest.mark.soak, id="10000 jobs"),
    ],
)
def test_gauges_after_many_jobs(tmp_path: Path, jobs: int) -> None:
    seen = measured(tmp_path, jobs)
    told, last, early, late = seen["outcomes"], seen["last"], seen["early"], seen["late"]
    print(json.dumps(seen, indent=2))  # pytest -s, and beside a failure

    # Every job is counted once, by itself, by its slot's next owner or by the sweeper; counters outlive who counted.
    assert sum(told.values()) == jobs
    assert last["outcomes"] == told
    assert last["opened"] == seen["opened"]

    # No ghost of any that was killed, nor was there one in the crowd.
    assert told["killed"] > jobs / 20
    assert (last["running"], last["connections"]) == (0, 0)
    assert seen["truth_seconds"] < 5
    assert seen["scrapes"] > 0
    assert seen["most_running"] <= SLOTS
    assert seen["most_connections"] <= SLOTS * 2 * 3

    # The cost is that of the slots.
    assert late["files"] <= early["files"] * GROWTH
    assert late["bytes"] <= early["bytes"] * GROWTH
    assert late["scrape_ms"] <= early["scrape_ms"] * GROWTH
