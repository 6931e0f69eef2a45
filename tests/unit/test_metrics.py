"""Gauges tell the truth after any death, and their files do not grow with the number of jobs ever run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.multiprocess import MultiProcessCollector

# One process that runs jobs in forked children on its slots, as a worker does, each killed or closed as told.
JOBS = """
import os, signal, sys
from pathlib import Path
from agent.runtime import metrics
from agent.runtime.slots import SlotFile
directory, slots_directory, jobs, slots = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
metrics.install()
for number in range(jobs):
    job = os.fork()
    if job == 0:
        slot = SlotFile(slots_directory, f"slot{number % slots}")
        assert slot.try_lock()
        killed = slot.name in metrics.live_identities(directory)
        metrics.own(slot.name)
        if killed:
            metrics.JOBS.labels("killed").inc()
        metrics.CONNECTIONS.labels("mongodb", "idle").set(3)
        metrics.OPEN_SECONDS.labels("mongodb").observe(0.02)
        if number % 5 == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        metrics.JOBS.labels("completed").inc()
        metrics.forget(slot.name)
        os._exit(0)
    os.waitpid(job, 0)
"""


def run_jobs(metrics: Path, slots: Path, jobs: int, on: int) -> None:
    subprocess.run(
        [sys.executable, "-c", JOBS, str(metrics), str(slots), str(jobs), str(on)],
        env={"PROMETHEUS_MULTIPROC_DIR": str(metrics), "PATH": ""},
        check=True,
    )


def scrape(metrics: Path) -> dict[tuple[str, tuple[str, ...]], float]:
    registry = CollectorRegistry()
    MultiProcessCollector(registry, path=str(metrics))
    return {
        (sample.name, tuple(sample.labels.values())): sample.value
        for family in registry.collect()
        for sample in family.samples
    }


@pytest.fixture
def directories(tmp_path: Path) -> tuple[Path, Path]:
    metrics, slots = tmp_path / "metrics", tmp_path / "slots"
    metrics.mkdir()
    slots.mkdir()
    return metrics, slots


def test_forty_jobs_on_four_slots(directories: tuple[Path, Path]) -> None:
    metrics, slots = directories
    run_jobs(metrics, slots, jobs=40, on=4)
    seen = scrape(metrics)
    assert seen["agent_jobs_total", ("completed",)] == 32
    # Every fifth was killed; each is noticed by the next owner of its slot, or by the sweeper if none comes.
    ghosts = len(list(metrics.glob("gauge_live*")))
    assert seen["agent_jobs_total", ("killed",)] + ghosts == 8
    assert seen["agent_datastore_open_duration_seconds_count", ("mongodb",)] == 40
    assert seen.get(("agent_datastore_connections", ("mongodb", "idle")), 0) == 3 * ghosts
    files = len(list(metrics.iterdir()))
    run_jobs(metrics, slots, jobs=40, on=4)
    assert len(list(metrics.iterdir())) <= files + 4  # a live gauge a slot comes and goes
    assert not list(metrics.glob("*unowned*"))
