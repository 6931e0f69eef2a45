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
from agent.runtime.settings import WorkerSettings
from agent.runtime.slots import SlotFile
jobs, slots = int(sys.argv[1]), int(sys.argv[2])
settings = WorkerSettings.from_environment()
metrics.install()
for number in range(jobs):
    job = os.fork()
    if job == 0:
        slot = SlotFile(settings.slot_directory, f"slot{number % slots}")
        assert slot.try_lock()
        metrics.begin(slot.name, settings)
        metrics.CONNECTIONS.labels("mongodb", "idle").set(3)
        metrics.OPEN_SECONDS.labels("mongodb").observe(0.02)
        if number % 5 == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        metrics.end(slot.name, "completed", metrics.Ended.HUNG_UP, settings)
        os._exit(0)
    os.waitpid(job, 0)
"""


def environment(metrics: Path, slots: Path) -> dict[str, str]:
    return {
        "PROMETHEUS_MULTIPROC_DIR": str(metrics),
        "AGENT_SLOT_DIRECTORY": str(slots),
        "AGENT_SPOOL_DIRECTORY": str(slots / "spool"),
        "PATH": "",
    }


def run_jobs(metrics: Path, slots: Path, jobs: int, on: int) -> None:
    subprocess.run(
        [sys.executable, "-c", JOBS, str(jobs), str(on)], env=environment(metrics, slots), check=True
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
    assert seen["agent_jobs_total", ("completed", "hung_up")] == 32
    # Every fifth was killed; each is noticed by the next owner of its slot, or by the sweeper if none comes.
    ghosts = len(list(metrics.glob("gauge_live*")))
    assert seen["agent_jobs_total", ("killed", "died")] + ghosts == 8
    assert seen["agent_datastore_open_duration_seconds_count", ("mongodb",)] == 40
    assert seen.get(("agent_datastore_connections", ("mongodb", "idle")), 0) == 3 * ghosts
    files = len(list(metrics.iterdir()))
    run_jobs(metrics, slots, jobs=40, on=4)
    assert len(list(metrics.iterdir())) <= files + 4  # a live gauge a slot comes and goes
    assert not list(metrics.glob("*unowned*"))


# LiveKit's `console`: the job is a thread of its worker, and both count.
IN_A_THREAD = """
import threading
from agent.runtime import metrics
from agent.runtime.settings import WorkerSettings
settings = WorkerSettings.from_environment()
metrics.install()
metrics.own("worker-1")
began, swept, over = threading.Event(), threading.Event(), threading.Event()
def job():
    metrics.begin("slot0", settings)
    metrics.CONNECTIONS.labels("redis", "idle").set(1)
    began.set()
    swept.wait(10)
    metrics.CONNECTIONS.labels("redis", "idle").set(2)
thread = threading.Thread(target=job)
thread.start()
assert began.wait(10)
metrics.JOBS_RUNNING.labels("assistant").set(0)
metrics.CONNECTIONS.labels("redis", "idle").set(5)
swept.set()
thread.join()
metrics.JOB_SLOTS.labels("assistant").set(4)
"""


def test_a_job_that_is_a_thread_has_gauges_of_its_own(directories: tuple[Path, Path]) -> None:
    metrics, slots = directories
    subprocess.run([sys.executable, "-c", IN_A_THREAD], env=environment(metrics, slots), check=True)
    seen = scrape(metrics)
    assert seen["agent_jobs_running", ("assistant",)] == 1
    assert seen["agent_datastore_connections", ("redis", "idle")] == 7
    assert seen["agent_job_slots", ("assistant",)] == 4


# Jobs one after another on slot 0, each killed at the step it is told: as it takes the slot over, or once it has it.
DEATHS = """
import os, signal, sys
from agent.runtime import metric_files, metrics
from agent.runtime.settings import WorkerSettings
from agent.runtime.slots import SlotFile
settings = WorkerSettings.from_environment()
metrics.install()
make_whole = metric_files.make_whole
def die():
    os.kill(os.getpid(), signal.SIGKILL)
def dies_replacing(path, anew=False):
    die() if anew else make_whole(path)
for step in sys.argv[1:]:
    if os.fork() == 0:
        assert SlotFile(settings.slot_directory, "slot0").try_lock()
        if step == "taking over":
            metric_files.make_whole = dies_replacing
        metrics.begin("slot0", settings)
        if step == "begun":
            die()
        metrics.end("slot0", step, metrics.Ended.HUNG_UP, settings)
        os._exit(0)
    os.wait()
"""


@pytest.mark.parametrize(
    ("steps", "killed", "marks"),
    [
        (["completed"], 0, 0),
        (["begun"], 0, 1),
        (["begun", "begun"], 1, 1),
        # It had counted its predecessor, whose gauges stay in its own place until they are replaced.
        (["begun", "taking over"], 1, 1),
        (["begun", "taking over", "completed"], 2, 0),
    ],
)
def test_a_death_while_a_slot_changes_hands_is_counted(
    directories: tuple[Path, Path], steps: list[str], killed: int, marks: int
) -> None:
    """`marks`: live gauges under a free lock, each of which the sweeper or the slot's next owner counts as killed."""
    metrics, slots = directories
    subprocess.run(
        [sys.executable, "-c", DEATHS, *steps],
        env=environment(metrics, slots),
        check=True,
    )
    seen = scrape(metrics)
    assert seen.get(("agent_jobs_total", ("killed", "died")), 0) == killed
    assert seen.get(("agent_jobs_total", ("completed", "hung_up")), 0) == steps.count("completed")
    assert len(list(metrics.glob("gauge_live*.db"))) == marks
