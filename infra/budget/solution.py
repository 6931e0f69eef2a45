"""What the budget comes to. Everything downstream (charts, processes, environment, alerts) takes it as it is.

Connections are counted per node of a datastore; seconds and MiB are in the names.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal

RollingMode = Literal["fast", "strict"]
RowKind = Literal["jobs", "workers", "consumer", "peers", "provider", "reserve"]
LimitSource = Literal["plan", "limit", "derived"]


def grouped(number: int) -> str:
    """1500 as `1 500`."""
    return f"{number:,}".replace(",", " ")


@dataclass(frozen=True)
class Fleet:
    """How many of what."""

    jobs: int
    """Of this cell."""
    cells: int
    slots: int
    idle_processes: int
    job_processes_per_worker: int
    """Running and warm ones; a worker's memory follows it, its connections do not."""
    max_replicas: int
    spare: int
    workers_at_peak: int
    quota_pods: int
    mode: RollingMode
    surge: int


@dataclass(frozen=True)
class Time:
    """How long things may take, in the order in which they happen to a call, then to a rollout."""

    open_timeout_seconds: int
    open_slow_seconds: int
    """To open one datastore; more is worth a look."""
    max_call_seconds: int
    goodbye_seconds: int
    rejoin_seconds: int
    """Within the call's time: a caller who vanished keeps the slot so long."""
    session_end_timeout_seconds: int
    close_timeout_seconds: int
    shutdown_callbacks_seconds: int
    """Of the next: what the user's own shutdown callbacks may take before the close."""
    shutdown_process_timeout_seconds: int
    job_start_seconds: int
    job_end_seconds: int
    pre_stop_seconds: int
    drain_timeout_seconds: int
    termination_grace_period_seconds: int
    worker_start_seconds: int
    rollout_seconds: int
    progress_deadline_seconds: int
    pulumi_timeout_seconds: int


@dataclass(frozen=True)
class Scaling:
    """Bounds of whoever sets the number of workers. They want ceil((jobs running on workers that do not drain +
    buffer_jobs) / slots)."""

    min_replicas: int
    buffer_jobs: int
    scale_down_pods: int
    """Pods an autoscaler may take away within scale_down_period_seconds; 0: none."""
    scale_down_period_seconds: int
    max_unavailable: int
    """Workers that evictions may take at once (PodDisruptionBudget)."""


@dataclass(frozen=True)
class Pod:
    """What one worker pod needs; its memory is request and limit at once."""

    memory_mib: int
    cpu_millicores: int
    shared_memory_mib: int
    """Of its memory: slot locks and gauge files, in a volume of that size."""
    startup_probe_failures: int
    """Of one a second."""


@dataclass(frozen=True)
class Row:
    """One line of the waterfall: who holds how many connections to a node, and why that many."""

    name: str
    kind: RowKind | str
    """A `RowKind`; of what another version deployed, perhaps one of its own."""
    workers: int | None
    formula: str
    connections: int
    start: int
    """Sum of the rows above."""


@dataclass(frozen=True)
class MongoDBServer:
    """Settings of a mongod of our own."""

    max_incoming_connections: int
    cache_mib: int
    cache_gib: float
    """The same as mongod wants it: storage.wiredTiger.engineConfig.cacheSizeGB counts in 1024 MiB."""
    memory_mib: int
    file_descriptors: int


@dataclass(frozen=True)
class RedisServer:
    """Settings of a Redis of our own."""

    maxclients: int
    max_memory_mib: int
    memory_mib: int
    memory_saving_mib: int
    """Where it saves to disk: the fork may come to copy all of max_memory_mib."""
    file_descriptors: int


@dataclass(frozen=True)
class Alerts:
    """A node's open connections above which one should look (warning) or act (critical)."""

    warning_above: int
    critical_above: int
    others: int
    """What all nodes together hold at most that is not the fleet's: consumers, peers, the provider. More is a leak."""
    fleet: int
    """What all nodes together are sized for that is the fleet's: what its clients count themselves stays within it."""


@dataclass(frozen=True)
class PlanFit:
    """The smallest plan of a provider that takes the sum with the reserve; None when none does."""

    family: str
    plan: str | None
    limit: int | None
    total: int


@dataclass(frozen=True)
class Datastore:
    """One datastore's side of the budget, per node."""

    name: str
    title: str
    nodes: int
    plan: str | None
    limit: int
    limit_source: LimitSource
    pool: int
    worker_pool: int
    monitoring: Literal["poll", "stream"] | None
    per_job: int
    per_job_reason: str
    per_worker: int
    connections_per_worker: int
    nodes_per_client: int
    """Nodes that one client holds connections to: every one, but of routers its machine's alone."""
    granted_per_worker: int
    """On all those nodes together, as a client counts them."""
    workers: int
    """Workers that may connect to one node."""
    rows: tuple[Row, ...]
    total: int
    reserve: int
    head_room: int
    """What the limit leaves beside the sum; negative when it does not fit."""
    fits: bool
    smallest_plans: tuple[PlanFit, ...]
    server: MongoDBServer | RedisServer | None
    """None: the server is not ours to set."""
    alerts: Alerts


@dataclass(frozen=True)
class RollingOption:
    """What one way of rolling would cost, the other way than the chosen one included."""

    mode: RollingMode
    chosen: bool
    surge: int
    workers_at_peak: int
    connections: dict[str, int]
    fits: bool
    rollout_seconds: int


@dataclass(frozen=True)
class Solution:
    """The solved budget."""

    digest: str
    """Identifies the inputs; equal digests mean equal budgets."""
    fits: bool
    fleet: Fleet
    time: Time
    scaling: Scaling
    pod: Pod
    datastores: dict[str, Datastore]
    """`mongodb`, `redis`, and every further one that is configured. `redis_sentinel` when there are Sentinels; behind
    routers `mongodb` is a mongos, and `mongodb_shards` what it connects to."""
    rolling_options: tuple[RollingOption, ...]
    warnings: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return dataclasses.asdict(self)


@dataclass(frozen=True)
class Cells:
    """A promise kept by several stacks like one another, each with datastores and a LiveKit of its own."""

    cells: int
    jobs: int
    workers: int
    workers_at_peak: int
    connections: dict[str, int]
    """Datastore → all nodes of all cells together."""
    mongodb_connections_mib: int
    """Memory of one MongoDB node's connections, beside its cache."""
    pods_gib: int
    """Memory of all workers at the peak."""


@dataclass(frozen=True)
class MixedDatastore:
    """One datastore while a rollout replaces the old fleet by the new one."""

    name: str
    title: str
    moves: bool
    """Another server than before: each keeps its own fleet, and nobody moves the data."""
    rows: tuple[Row, ...]
    total: int
    limit_before: int
    limit_during: int
    limit_after: int
    fits: bool
    server_during: MongoDBServer | RedisServer | None
    """What a server of our own is given while both fleets may connect; None: not ours to set."""
    restarts_before: bool
    """It takes its settings at start only, so the change before the fleet restarts it."""
    restarts_after: bool


@dataclass(frozen=True)
class Mixed:
    """The mixed fleet of a change from one solved budget to another."""

    pods_at_once: int
    old_gone_seconds: int
    """Until the last old pod is gone, at most, from the start of the rollout."""
    datastores: dict[str, MixedDatastore]

    @property
    def fits(self) -> bool:
        """Whether every server takes both fleets at once."""
        return all(datastore.fits for datastore in self.datastores.values())
