"""Prometheus metrics that stay true when processes die: one file a slot, not one a process.

`prometheus_client` keeps a file per process and never removes it; with a process per job, files and scrape time grow
without bound. Here the identity in the file's name is the slot that the job owns (`slot3`) or the worker's main process
(`worker-<pid>`). A process that owns neither must not touch a metric; should a library do so, its file carries the pid
(`unowned-<pid>`) and the sweeper removes it when the process is gone.

Names follow the Prometheus conventions: base units, `_total` for counters. Alerts and dashboards rely on them.
"""

from __future__ import annotations

import fcntl
import os
import threading
from enum import StrEnum
from functools import cache
from pathlib import Path

import psutil
from prometheus_client import Counter, Gauge, Histogram, values
from prometheus_client.multiprocess import mark_process_dead

from agent.runtime import metric_files
from agent.runtime.errors import SettingsError
from agent.runtime.settings import WorkerSettings

_owned: list[str] = []
_of_thread = threading.local()


class Ended(StrEnum):
    """How a call ended: the label `reason` of `agent_jobs_total`."""

    HUNG_UP = "hung_up"
    """The last caller left, or was removed, or refused the call."""
    LOST = "lost"
    """The last caller vanished and was not back within AGENT_REJOIN_SECONDS."""
    NOBODY_JOINED = "nobody_joined"
    TIME_LIMIT = "time_limit"
    """AGENT_MAX_CALL_SECONDS."""
    DISCONNECTED = "disconnected"
    """The agent itself lost its room for good."""
    ENDED = "ended"
    """By the agent (`ctx.shutdown()`, an error of its own), by LiveKit's API (room or dispatch deleted), by a drain."""
    DIED = "died"
    """The process did, without closing."""


def _process_identifier() -> str:
    of_thread: str | None = getattr(_of_thread, "identity", None)
    return of_thread or (_owned[0] if _owned else f"unowned-{os.getpid()}")


@cache
def install() -> None:
    """Keep values in files named by `own()`. Called by LifespanServer, once PROMETHEUS_MULTIPROC_DIR is known.

    It replaces the class of values itself, so that it does not matter that prometheus_client was imported (by
    livekit.agents) before.
    """
    metric_files.install()
    values.ValueClass = values.MultiProcessValue(_process_identifier)


def claim(directory: Path) -> None:
    """Make this worker the only one that keeps metrics in `directory`, until its process ends.

    Raises:
        SettingsError: another living worker does; LiveKit would empty the directory under it.
    """
    # flock of the directory itself: LiveKit's wipe takes files. Job processes are exec'd, so they do not inherit it.
    descriptor = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise SettingsError(
            f"environment: PROMETHEUS_MULTIPROC_DIR={str(directory)!r} is another worker's; accepted: a directory of "
            "this worker's own"
        ) from None


def keep_in_memory() -> None:
    """For commands: write no file, even where the environment is a worker's; nobody would serve or remove it."""
    values.ValueClass = values.MutexValue


OPEN_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
CHECKOUT_BUCKETS = (0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5)

# Every metric has a label: one without would open its file at import, before an identity is owned, and LiveKit's
# start-up wipe of the directory would orphan it.
CONNECTIONS = Gauge(
    "agent_datastore_connections",
    "Open connections of this worker and its jobs, by use; monitoring sockets belong to the driver.",
    ["datastore", "state"],
    multiprocess_mode="livesum",
)
CONNECTIONS_BUDGET = Gauge(
    "agent_datastore_connections_budget",
    "Connections that the budget grants to this worker with all its slots taken.",
    ["datastore"],
    multiprocess_mode="livesum",
)
JOB_SLOTS = Gauge(
    "agent_job_slots", "Jobs this worker may run at once.", ["agent_name"], multiprocess_mode="livesum"
)
JOBS_RUNNING = Gauge(
    "agent_jobs_running", "Jobs that own a slot of this worker.", ["agent_name"], multiprocess_mode="livesum"
)
WORKER_STATE = Gauge(
    "agent_worker_state",
    "1 for the state the worker is in: starting, serving or draining.",
    ["state"],
    multiprocess_mode="livesum",
)
WORKER_STATE_START = Gauge(
    "agent_worker_state_start_time_seconds",
    "Unix time at which the worker entered a state; starting is the start of its process.",
    ["state"],
    multiprocess_mode="livemax",
)
JOB_REQUESTS = Counter(
    "agent_job_requests",
    "Job requests answered: accepted, or rejected because all slots are taken.",
    ["result"],
)
JOBS = Counter(
    "agent_jobs",
    "Jobs ended: completed, failed, or killed (died without closing); reason: how the call ended.",
    ["outcome", "reason"],
)
OPEN_SECONDS = Histogram(
    "agent_datastore_open_duration_seconds",
    "Time to open a datastore at the start of a job.",
    ["datastore"],
    buckets=OPEN_BUCKETS,
)
OPEN_FAILURES = Counter(
    "agent_datastore_open_failures",
    "Opens that raised or ran out of time; the job or worker they belong to failed.",
    ["datastore"],
)
CLOSE_SECONDS = Histogram(
    "agent_datastore_close_duration_seconds",
    "Time to close a datastore at the end of a job.",
    ["datastore"],
    buckets=OPEN_BUCKETS,
)
CHECKOUT_SECONDS = Histogram(
    "agent_datastore_checkout_duration_seconds",
    "Time an operation waited for a connection of its pool.",
    ["datastore"],
    buckets=CHECKOUT_BUCKETS,
)
SPOOLED = Gauge(
    "agent_datastore_spooled_documents",
    "Documents that wait in files because the datastore did not take them; `spool` is one directory, shared or not.",
    ["datastore", "spool"],
    multiprocess_mode="livesum",
)
SPOOL_REFUSED = Gauge(
    "agent_datastore_spool_refused_documents",
    "Files set aside because no server takes what is in them; `spool` is one directory, shared or not.",
    ["datastore", "spool"],
    multiprocess_mode="livesum",
)
CLOSE_FAILURES = Counter(
    "agent_datastore_close_failures",
    "Closes that raised or passed their deadline; their sockets end with the process.",
    ["datastore"],
)


def own(identity: str) -> None:
    """From here on this process's metrics are written under `identity`; where it has one (LiveKit's `console`, whose
    job is a thread of the worker), this thread's."""
    if _owned:
        _of_thread.identity = identity
    else:
        _owned.append(identity)


def begin(slot: str, settings: WorkerSettings) -> None:
    """The first thing a job does with the slot it owns. Its live gauges are what a death leaves behind, to be counted
    by the sweeper or by the slot's next owner; so their file is there at any moment, the dead one's or its own.

    Uncounted is a job that dies in the 0.2 ms between its lock and its file; nothing is open yet.
    """
    previous_died = slot in live_identities(settings.metrics_directory)
    own(slot)
    # Here, because at its end a job may have no descriptor left to open their file with.
    died = JOBS.labels("killed", Ended.DIED)
    if previous_died:
        died.inc()
    metric_files.make_whole(_live_gauges(settings.metrics_directory, slot), anew=True)
    JOBS_RUNNING.labels(settings.agent_name).set(1)


def end(slot: str, outcome: str, how: Ended, settings: WorkerSettings) -> None:
    """The last thing a job does with its slot, once everything is closed.

    Counted twice is a job that is killed between its count and its file's end, which takes 30 µs.
    """
    ended, gauges = JOBS.labels(outcome, how), _live_gauges(settings.metrics_directory, slot)
    ended.inc()
    gauges.unlink(missing_ok=True)
    forget(slot)


def forget(identity: str) -> None:
    """Drop the live gauges of an owner that is gone; its counters and histograms stay."""
    mark_process_dead(identity)


def _live_gauges(directory: Path, identity: str) -> Path:
    """All gauges of a job are of this mode."""
    return directory / f"gauge_livesum_{identity}.db"


def live_identities(directory: Path) -> set[str]:
    """The owners whose gauges are on disk: each lives, or died without a clean end."""
    return {file.stem.rpartition("_")[2] for file in directory.glob("gauge_live*.db")}


def remove_unowned(directory: Path) -> None:
    """Remove files of processes that touched a metric without owning a slot, once they are gone."""
    for file in directory.glob("*_unowned-*.db"):
        pid = int(file.stem.rpartition("-")[2])
        if not psutil.pid_exists(pid):
            file.unlink(missing_ok=True)
