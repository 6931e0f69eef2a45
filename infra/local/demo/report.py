"""What one demo saw, as plain data: the source of the tables, of `report.json`, of the picture and of the verdict."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from infra.local.caller import CallResult, Outcome


@dataclass(frozen=True)
class Event:
    """Something the demo did, `at` seconds after the first sample."""

    at: float
    what: str


@dataclass(frozen=True)
class Counted:
    """One sample by the kernel, `at` seconds after the first."""

    at: float
    connections: dict[str, int]
    """Datastore → connections open at the server's end."""
    jobs: dict[str, int]
    """Worker → slots owned by living jobs."""


@dataclass(frozen=True)
class Told:
    """One look at the gauges of all workers that are up, `at` seconds after the first sample."""

    at: float
    connections: dict[str, int]
    """Datastore → connections they say they hold."""
    granted: dict[str, int]
    """Datastore → connections they were granted."""
    slots: int


@dataclass(frozen=True)
class Durations:
    """Seconds, from the histograms of all workers together, interpolated within their buckets; None: no observation."""

    opened: int
    open_p50: float | None
    open_p99: float | None
    checkout_p99: float | None
    """How long an operation waited for a connection of its pool."""


@dataclass(frozen=True)
class DatastoreSeen:
    """One datastore: what it was granted, and what the kernel counted at the server's end."""

    name: str
    title: str
    budget: int
    """Everyone's connections together, the operators' reserve not included."""
    limit: int
    """The budget and the reserve."""
    limit_enforced: bool
    """False: the embedded server knows no limit."""
    per_worker: int
    """What a worker without a job may hold."""
    peak: int
    left: int
    """In the kernel after all workers are gone."""
    idle_gauges: dict[str, int]
    """Worker → connections it reported when no call was left."""
    idle_kernel: int
    """The kernel's count in that moment."""
    durations: Durations


@dataclass(frozen=True)
class FleetSeen:
    """Workers and their jobs."""

    slots: int
    workers: int
    peak_workers: int
    workers_at_peak: int
    """What the budget counted with."""
    jobs_at_peak: int
    """Slots of that many workers."""
    peak_jobs: int
    peak_jobs_by_worker: dict[str, int]
    """By slot locks in the kernel and by gauge, whichever saw more."""
    gauge_slots: dict[str, int]
    killed_by_gauge: int
    exit_statuses: dict[str, int]


@dataclass(frozen=True)
class Kill:
    """The job that was killed with SIGKILL in a call."""

    room: str
    pid: int
    worker: str
    gauge_seconds: float | None
    """Until its worker's gauges had counted it as killed; None: not within the time waited."""


@dataclass(frozen=True)
class Rollover:
    """One worker replaced under load."""

    old: str
    new: str
    jobs_at_sigterm: int
    drain_seconds: float
    exit_status: int


@dataclass(frozen=True)
class Leftovers:
    """What was still there when nothing should have been."""

    running: dict[str, int]
    """Worker → jobs by gauge, when no call was left."""
    slots: dict[str, int]
    """Worker → slot locks held, at the very end."""
    processes: list[str]
    """Children that outlived their worker."""


@dataclass(frozen=True)
class Report:
    """One demo."""

    name: str
    digest: str
    seconds: float
    calls_wanted: int
    calls: list[CallResult]
    transcripts_missing: list[str]
    """Rooms of answered calls without a transcript that holds every sentence of the caller."""
    datastores: dict[str, DatastoreSeen]
    fleet: FleetSeen
    kill: Kill | None
    rollover: Rollover
    leftovers: Leftovers
    events: list[Event] = field(default_factory=list)
    counted: list[Counted] = field(default_factory=list)
    told: list[Told] = field(default_factory=list)

    def count(self, outcome: Outcome) -> int:
        return sum(1 for call in self.calls if call.outcome is outcome)

    @property
    def waited(self) -> list[CallResult]:
        """Calls that were answered, but not at the first attempt: every slot was taken."""
        return [call for call in self.calls if call.attempts > 1 and call.outcome is not Outcome.BUSY]

    @property
    def transcripts_stored(self) -> int:
        return self.count(Outcome.ANSWERED) - len(self.transcripts_missing)

    def write(self, path: Path, broken: list[str]) -> None:
        content: dict[str, Any] = {"broken_invariants": broken, **dataclasses.asdict(self)}
        path.write_text(json.dumps(content, indent=2) + "\n")
