"""The budget: from the promise (calls at once) to every number that is deployed. Pure; it alone calculates.

For each datastore, on every node of it (any member of a replica set may become primary):

    workers_at_peak × (slots × per_job + per_worker) + Σ consumers (processes × connections)
        + what the provider keeps back + reserve  <=  limit

`python -m infra.budget FILE [--json]` solves a stack file and prints where every connection goes.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from infra.config import (
    DatastoreConfig,
    FastRolling,
    FleetConfig,
    MongoDBConfig,
    OtherConfig,
    RedisConfig,
    Routers,
    StackConfig,
    StrictRolling,
)
from infra.plans import PLANS, Kind, Plan, families, plans_of
from infra.platforms import PLATFORMS
from infra.solution import (
    Alerts,
    Cells,
    Datastore,
    Fleet,
    LimitSource,
    Mixed,
    MixedDatastore,
    MongoDBServer,
    PlanFit,
    Pod,
    RedisServer,
    RollingOption,
    Row,
    RowKind,
    Scaling,
    Solution,
    Time,
    grouped,
)

# PyMongo 4.20, sockets to each node beside the pool; counted in the kernel.
MONITORS = {"poll": 1, "stream": 2}
# What one member of a replica set opens to another: an estimate, not measured, for no real mongod was to be
# had. A published log of 6.0 names ReplNetwork 2, ReplicaSetMonitor 2, ReplCoordExternNetwork 1,
# MirrorMaestro 1 and "Internal Client" 3; 9, rounded up.
MONGODB_CONNECTIONS_PER_PEER = 10
# A mongos watches each member of each shard: a streaming socket and one that measures round trips, as
# drivers do; an estimate too, for no mongos was to be had. What ShardingTaskExecutorPoolMaxSize bounds: SERVER-25027.
ROUTER_MONITORS = 2
# redis-py 8.1 keeps one Redis per Sentinel and client (sentinel.py). A Sentinel opens a command and a pub/sub
# link to the server it watches and a command link to each other Sentinel (redis/src/sentinel.c, instanceLink).
LINKS_TO_SENTINEL = 1
LINKS_FROM_SENTINEL = 2
# weaviate-client 4.24: one channel to the server's gRPC port beside the HTTP pool; counted in the kernel.
BESIDE_THE_POOL = {"weaviate": (1, "gRPC channel")}
TITLES = {"weaviate": "Weaviate", "elasticsearch": "Elasticsearch", "opensearch": "OpenSearch"}
# Redis's default maxclients, and the descriptors it keeps for itself (redis.conf, maxclients).
REDIS_DEFAULT_MAXCLIENTS = 10_000
REDIS_OWN_DESCRIPTORS = 32

# mongod takes about 1 MB, a thread and 2 descriptors for a connection. The base holds mongod itself and what it
# allocates beside the cache; the files are WiredTiger's (one a collection, one an index), the journal's and
# the diagnostics'.
MONGODB_CONNECTION_MIB = 1
MONGODB_BASE_MIB = 256
MONGODB_DESCRIPTORS_PER_CONNECTION = 2
MONGODB_FILES = 1024
# A Redis client: 16 KiB reply buffer, up to 32 KiB query buffer, its structure, the kernel's socket: 64 KiB
# at most. The base holds redis-server itself; a server that forks to save needs max_memory_mib once more.
REDIS_CONNECTIONS_PER_MIB = 16
REDIS_BASE_MIB = 64

# livekit-agents 1.8.9, before anything of ours runs: a job is assigned within 7.5 s and its process initialised
# within 10 s (initialize_process_timeout).
JOB_START_SECONDS = 18
# livekit-agents 1.8.9, after a job's end began (ipc/job_proc_lazy_main.py, _shutdown_job): 15 s for the
# entrypoint, 60 s for AgentSession.aclose, then session_end_timeout, then shutdown_process_timeout for
# callbacks and exit.
ENTRYPOINT_EXIT_SECONDS = 15
SESSION_CLOSE_SECONDS = 60
SHUTDOWN_PROCESS_TIMEOUT_SECONDS = 10
# The worker lifespan's close (at most 9 s), the main process's exit, and the kubelet's own delay.
GRACE_MARGIN_SECONDS = 30
# Pulling the image, once a node. A deadline that is too short reports ProgressDeadlineExceeded for a rollout
# that completes by itself afterwards (seen on Kubernetes 1.34), and Pulumi fails on it.
PROGRESS_MARGIN_SECONDS = 300
# A ReplicaSet that was refused by the quota retries at intervals that double, up to 1000 s (client-go's default).
QUOTA_RETRY_SECONDS = 1000
# prometheus_client maps 64 KiB a file at least; a process has a file for each type and mode of its metrics (8, seen),
# and room for each to grow once. The rest is for slot locks and what belongs to no slot.
METRICS_KIB_PER_PROCESS = 1024
SPARE_SHARED_KIB = 8192
# autoscaling/v2: the longest periodSeconds of a policy, and the part (a tenth) by which a fleet may be too large or
# too small before the autoscaler acts. Kubernetes 1.35 lets one set the latter; before, it is the cluster's.
HPA_LONGEST_PERIOD_SECONDS = 1800
HPA_TOLERANCE = 10
# Pulumi has to outlast the deadline to report what Kubernetes says of it.
PULUMI_MARGIN_SECONDS = 300


@dataclass(frozen=True)
class _Share:
    """What one job and one worker hold on a node."""

    per_job: int
    reason: str
    per_worker: int


def solve(config: StackConfig) -> Solution:
    """Solves the budget. A config that does not fit is solved too, with `fits` False; nothing is raised."""
    fleet = _fleet(config.fleet)
    time = _time(config.fleet, fleet)
    datastores = _datastores(config, fleet)
    return Solution(
        digest=digest(config),
        fits=all(datastore.fits for datastore in datastores.values()),
        fleet=fleet,
        time=time,
        scaling=_scaling(config.fleet, fleet, time),
        pod=_pod(config.fleet, fleet),
        datastores=datastores,
        rolling_options=_rolling_options(config),
        warnings=tuple(_warnings(config, time, fleet)),
    )


def digest(config: StackConfig) -> str:
    """16 hexadecimal digits over the inputs: the config, defaults included, and the plans' numbers."""
    plans = [PLANS[name] for name in (config.mongodb.plan, config.redis.plan) if name]
    inputs = {
        "config": config.model_dump(mode="json", exclude={"deployment"}),
        "plans": {plan.name: [plan.limit, plan.family.reserved] for plan in plans},
    }
    canonical = json.dumps(inputs, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


def jobs_for(workers: int, slots: int) -> int:
    """The promise that so many workers can keep."""
    return workers * slots


def jobs_per_cell(jobs: int, cells: int) -> int:
    """The promise of each cell when so many cells share one."""
    return _ceil(jobs, cells)


def tenth_of(workers: int) -> int:
    """A surge or a spare in proportion to the fleet."""
    return _ceil(workers, 10)


def machines_for(workers: int, workers_per_machine: int) -> int:
    """Machines that take so many workers."""
    return _ceil(workers, workers_per_machine)


def in_cells(solution: Solution, cells: int) -> Cells:
    """What so many cells like this one come to together, at the peak of all of them."""
    at_peak = cells * solution.fleet.workers_at_peak
    mongodb = solution.datastores.get("mongodb_shards", solution.datastores["mongodb"])
    return Cells(
        cells=cells,
        jobs=cells * solution.fleet.jobs,
        workers=cells * solution.fleet.max_replicas,
        workers_at_peak=at_peak,
        connections={
            name: cells * datastore.nodes * datastore.total for name, datastore in solution.datastores.items()
        },
        mongodb_connections_mib=MONGODB_CONNECTION_MIB * mongodb.total,
        pods_gib=_ceil(at_peak * solution.pod.memory_mib, 1024),
    )


def _ceil(dividend: int, divisor: int) -> int:
    return -(-dividend // divisor)


def _fleet(config: FleetConfig) -> Fleet:
    jobs = jobs_per_cell(config.jobs, config.cells)
    max_replicas = _ceil(jobs, config.slots)
    rolling = config.rolling
    if isinstance(rolling, FastRolling):
        # Each rollout leaves a whole fleet draining; surge pods belong to the new one. Measured on Kubernetes 1.34:
        # a rollout of 4 with surge 2 peaked at 8 pods.
        spare = rolling.rollouts_per_grace_period * max_replicas
    else:
        spare = rolling.surge + rolling.failure_spare
    workers_at_peak = max_replicas + spare
    return Fleet(
        jobs=jobs,
        cells=config.cells,
        slots=config.slots,
        idle_processes=config.idle_processes,
        job_processes_per_worker=config.slots + config.idle_processes,
        max_replicas=max_replicas,
        spare=spare,
        workers_at_peak=workers_at_peak,
        quota_pods=workers_at_peak,
        mode=config.rolling.mode,
        surge=config.rolling.surge,
    )


def _time(config: FleetConfig, fleet: Fleet) -> Time:
    job_end = (
        ENTRYPOINT_EXIT_SECONDS
        + SESSION_CLOSE_SECONDS
        + config.session_end_timeout_seconds
        + SHUTDOWN_PROCESS_TIMEOUT_SECONDS
    )
    # A job accepted just before SIGTERM lives this long, its own end included: a drain that is cut off
    # earlier would end calls that are within their time.
    drain = (
        JOB_START_SECONDS
        + config.open_timeout_seconds
        + config.max_call_seconds
        + config.goodbye_seconds
        + job_end
    )
    # At the drain's timeout LiveKit asks the jobs that are left to end, and waits for each step of that once
    # more (ipc/supervised_proc.py, aclose); without the second job_end a job that overran would lose its
    # transcript.
    grace = config.pre_stop_seconds + drain + job_end + GRACE_MARGIN_SECONDS
    waves = _ceil(fleet.max_replicas, fleet.surge)
    if fleet.mode == "fast":
        # Waves follow each other as soon as the new pods are ready; at the end the last old ones still drain.
        until_all_new = waves * config.worker_start_seconds
        rollout = until_all_new + grace
        deadline = until_all_new + PROGRESS_MARGIN_SECONDS
    else:
        # A wave starts when the quota lets it, that is, when the one before has drained and gone.
        rollout = waves * (config.worker_start_seconds + grace)
        deadline = rollout + waves * min(grace, QUOTA_RETRY_SECONDS) + PROGRESS_MARGIN_SECONDS
    return Time(
        open_timeout_seconds=config.open_timeout_seconds,
        open_slow_seconds=_ceil(config.open_timeout_seconds, 2),
        max_call_seconds=config.max_call_seconds,
        goodbye_seconds=config.goodbye_seconds,
        session_end_timeout_seconds=config.session_end_timeout_seconds,
        close_timeout_seconds=config.close_timeout_seconds,
        shutdown_process_timeout_seconds=SHUTDOWN_PROCESS_TIMEOUT_SECONDS,
        job_start_seconds=JOB_START_SECONDS,
        job_end_seconds=job_end,
        pre_stop_seconds=config.pre_stop_seconds,
        drain_timeout_seconds=drain,
        termination_grace_period_seconds=grace,
        worker_start_seconds=config.worker_start_seconds,
        rollout_seconds=rollout,
        progress_deadline_seconds=deadline,
        pulumi_timeout_seconds=deadline + PULUMI_MARGIN_SECONDS,
    )


def _scaling(config: FleetConfig, fleet: Fleet, time: Time) -> Scaling:
    rolling = config.rolling
    # Taking workers away makes nothing worse by itself; it is their successors that find them still draining. So
    # within one grace period no more may go than the spare pays for beside rollouts.
    paid = fleet.spare if isinstance(rolling, FastRolling) else rolling.failure_spare
    period = min(time.termination_grace_period_seconds, HPA_LONGEST_PERIOD_SECONDS)
    return Scaling(
        min_replicas=min(config.scaling.min_replicas, fleet.max_replicas),
        buffer_jobs=config.scaling.buffer_jobs or max(fleet.slots, _overlooked(fleet) + 1),
        scale_down_pods=paid // _ceil(time.termination_grace_period_seconds, period),
        scale_down_period_seconds=period,
        max_unavailable=max(1, fleet.surge if isinstance(rolling, FastRolling) else rolling.failure_spare),
    )


def _overlooked(fleet: Fleet) -> int:
    """Jobs by which the fleet may be too small before an autoscaler does anything."""
    return fleet.max_replicas * fleet.slots // HPA_TOLERANCE


def _pod(config: FleetConfig, fleet: Fleet) -> Pod:
    sizes = config.pod
    shared_kib = METRICS_KIB_PER_PROCESS * (fleet.slots + 1) + SPARE_SHARED_KIB
    shared_mib = _ceil(shared_kib, 1024)
    return Pod(
        memory_mib=sizes.base_memory_mib
        + fleet.slots * sizes.job_memory_mib
        + fleet.idle_processes * sizes.idle_process_memory_mib
        + shared_mib,
        cpu_millicores=sizes.base_cpu_millicores + fleet.slots * sizes.job_cpu_millicores,
        shared_memory_mib=shared_mib,
        # Twice the planned time: a slow node is not a dead worker.
        startup_probe_failures=2 * config.worker_start_seconds,
    )


def _datastores(config: StackConfig, fleet: Fleet) -> dict[str, Datastore]:
    found = [*_mongodb(config.mongodb, fleet), _redis(config.redis, fleet)]
    if config.redis.sentinels:
        found.append(_sentinel(config.redis, fleet))
    # In the order of their names: the order in the file must matter to nothing.
    found += [_other(name, other, fleet) for name, other in sorted(config.datastores.items())]
    return {datastore.name: datastore for datastore in found}


def _mongodb(config: MongoDBConfig, fleet: Fleet) -> Iterator[Datastore]:
    monitors = MONITORS[config.monitoring]
    share = _Share(
        per_job=config.pool + monitors,
        reason=f"pool {config.pool} + {'1 polling monitor' if monitors == 1 else '2 streaming monitors'}",
        per_worker=config.worker_pool + monitors if config.worker_pool else 0,
    )
    if config.routers:
        yield _mongos(config, config.routers, share, fleet)
        yield _shards(config, config.routers)
        return
    rows = _Rows(fleet.workers_at_peak, fleet.slots)
    rows.add_fleet(share)
    rows.add_consumers(config)
    own = config.plan is None and config.limit is None
    if own:
        rows.add_peers(config.nodes)
    rows.add_plan_and_reserve(config.plan, config.reserve)
    yield _datastore(
        "mongodb",
        "MongoDB",
        share,
        rows,
        nodes=config.nodes,
        plan=config.plan,
        limit=config.limit,
        pool=config.pool,
        worker_pool=config.worker_pool,
        reserve=config.reserve,
        kind="mongodb",
        monitoring=config.monitoring,
        server=_mongodb_server(config.cache_mib, rows.total) if own else None,
    )


def _mongos(config: MongoDBConfig, routers: Routers, share: _Share, fleet: Fleet) -> Datastore:
    """What jobs connect to: each machine's mongos takes the workers of that machine."""
    rows = _Rows(routers.workers_per_machine, fleet.slots)
    rows.add_fleet(share)
    rows.add_plan_and_reserve(None, config.reserve)
    return _datastore(
        "mongodb",
        "mongos on each machine",
        share,
        rows,
        nodes=routers.machines,
        nodes_per_client=1,
        plan=None,
        limit=None,
        pool=config.pool,
        worker_pool=config.worker_pool,
        reserve=config.reserve,
        monitoring=config.monitoring,
    )


def _shards(config: MongoDBConfig, routers: Routers) -> Datastore:
    """What each mongos connects to, however many jobs stand before it. Consumers are counted as connecting here."""
    rows = _Rows(0, 0)
    holds = routers.pool + ROUTER_MONITORS
    rows.add("routers", "consumer", f"{grouped(routers.machines)} mongos × {holds}", routers.machines * holds)
    rows.add_consumers(config)
    members = config.nodes * routers.shards
    if config.limit is None:
        rows.add_peers(members)
    rows.add_plan_and_reserve(None, config.reserve)
    return _datastore(
        "mongodb_shards",
        "MongoDB shards",
        _Share(0, "nothing: it goes through its mongos", 0),
        rows,
        nodes=members,
        plan=None,
        limit=config.limit,
        pool=routers.pool,
        worker_pool=0,
        reserve=config.reserve,
        server=_mongodb_server(config.cache_mib, rows.total) if config.limit is None else None,
    )


def _redis(config: RedisConfig, fleet: Fleet) -> Datastore:
    # One bounded pool gives all of them: subscriptions and blocking commands pin connections of it.
    pool_size = config.pool + config.pubsub + config.blocking
    parts = {"pool": config.pool, "pub/sub": config.pubsub, "blocking": config.blocking}
    reason = " + ".join(f"{part} {count}" for part, count in parts.items() if count)
    share = _Share(pool_size, reason, config.worker_pool)
    rows = _Rows(fleet.workers_at_peak, fleet.slots)
    rows.add_fleet(share)
    rows.add_consumers(config)
    if config.sentinels:
        links = config.sentinels * LINKS_FROM_SENTINEL
        rows.add("sentinels", "peers", f"{config.sentinels} Sentinels × {LINKS_FROM_SENTINEL}", links)
    rows.add_plan_and_reserve(config.plan, config.reserve)
    own = config.plan is None and config.limit is None
    return _datastore(
        "redis",
        "Redis",
        share,
        rows,
        nodes=1,
        plan=config.plan,
        limit=config.limit,
        pool=pool_size,
        worker_pool=config.worker_pool,
        reserve=config.reserve,
        kind="redis",
        server=_redis_server(config.max_memory_mib, rows.total) if own else None,
    )


def _mongodb_server(cache_mib: int, connections: int) -> MongoDBServer:
    return MongoDBServer(
        max_incoming_connections=connections,
        cache_mib=cache_mib,
        cache_gib=cache_mib / 1024,
        memory_mib=cache_mib + MONGODB_BASE_MIB + MONGODB_CONNECTION_MIB * connections,
        file_descriptors=MONGODB_DESCRIPTORS_PER_CONNECTION * connections + MONGODB_FILES,
    )


def _redis_server(max_memory_mib: int, connections: int) -> RedisServer:
    memory = max_memory_mib + REDIS_BASE_MIB + _ceil(connections, REDIS_CONNECTIONS_PER_MIB)
    return RedisServer(
        maxclients=connections,
        max_memory_mib=max_memory_mib,
        memory_mib=memory,
        memory_saving_mib=memory + max_memory_mib,
        file_descriptors=connections + REDIS_OWN_DESCRIPTORS,
    )


def _sentinel(config: RedisConfig, fleet: Fleet) -> Datastore:
    per_worker = LINKS_TO_SENTINEL if config.worker_pool else 0
    share = _Share(LINKS_TO_SENTINEL, "one connection to each Sentinel", per_worker)
    rows = _Rows(fleet.workers_at_peak, fleet.slots)
    rows.add_fleet(share)
    if others := config.sentinels - 1:
        rows.add("sentinels", "peers", f"{others} other Sentinels × 1", others)
    rows.add_plan_and_reserve(None, config.reserve)
    return _datastore(
        "redis_sentinel",
        "Redis Sentinel",
        share,
        rows,
        nodes=config.sentinels,
        plan=None,
        limit=config.sentinel_limit or REDIS_DEFAULT_MAXCLIENTS,
        pool=LINKS_TO_SENTINEL,
        worker_pool=share.per_worker,
        reserve=config.reserve,
    )


def _other(name: str, config: OtherConfig, fleet: Fleet) -> Datastore:
    beside, what = BESIDE_THE_POOL.get(name, (0, "beside it"))
    if config.beside_pool is not None:
        beside = config.beside_pool
    share = _Share(
        per_job=config.pool + beside,
        reason=f"pool {config.pool}" + (f" + {_count(beside, what)}" if beside else ""),
        per_worker=config.worker_pool + beside if config.worker_pool else 0,
    )
    rows = _Rows(fleet.workers_at_peak, fleet.slots)
    rows.add_fleet(share)
    rows.add_consumers(config)
    rows.add_plan_and_reserve(None, config.reserve)
    return _datastore(
        name,
        TITLES.get(name, name),
        share,
        rows,
        nodes=config.nodes,
        plan=None,
        limit=config.limit,
        pool=config.pool,
        worker_pool=config.worker_pool,
        reserve=config.reserve,
    )


class _Rows:
    """The waterfall as it grows."""

    def __init__(self, workers: int, slots: int) -> None:
        self.workers, self.slots = workers, slots
        self.rows: list[Row] = []
        self.total = 0

    def add(self, name: str, kind: RowKind, formula: str, connections: int) -> None:
        workers = self.workers if kind in ("jobs", "workers") else None
        self.rows.append(Row(name, kind, workers, formula, connections, self.total))
        self.total += connections

    def add_fleet(self, share: _Share) -> None:
        workers, slots = self.workers, self.slots
        formula = f"{_count(workers, 'worker')} × {_count(slots, 'slot')} × {share.per_job}"
        self.add("jobs", "jobs", formula, workers * slots * share.per_job)
        if share.per_worker:
            formula = f"{_count(workers, 'worker')} × {share.per_worker}"
            self.add("workers", "workers", formula, workers * share.per_worker)

    def add_consumers(self, config: DatastoreConfig) -> None:
        # In the order of their names: the order in the file must matter to nothing.
        for name, consumer in sorted(config.consumers.items()):
            formula = f"{_count(consumer.processes, 'process')} × {consumer.connections}"
            self.add(name, "consumer", formula, consumer.processes * consumer.connections)

    def add_peers(self, members: int) -> None:
        if others := members - 1:
            formula = (
                f"{others} other {'member' if others == 1 else 'members'} × {MONGODB_CONNECTIONS_PER_PEER}"
            )
            self.add("peers", "peers", formula, others * MONGODB_CONNECTIONS_PER_PEER)

    def add_plan_and_reserve(self, plan: str | None, reserve: int) -> None:
        if plan and (family := PLANS[plan].family).reserved:
            self.add(family.title, "provider", "kept back by the provider", family.reserved)
        self.add("reserve", "reserve", "for operators", reserve)


def _count(number: int, noun: str) -> str:
    plural = noun if number == 1 else f"{noun}es" if noun.endswith("s") else f"{noun}s"
    return f"{grouped(number)} {plural}"


def _datastore(
    name: str,
    title: str,
    share: _Share,
    rows: _Rows,
    *,
    nodes: int,
    nodes_per_client: int | None = None,
    plan: str | None,
    limit: int | None,
    pool: int,
    worker_pool: int,
    reserve: int,
    kind: Kind | None = None,
    monitoring: Literal["poll", "stream"] | None = None,
    server: MongoDBServer | RedisServer | None = None,
) -> Datastore:
    source: LimitSource = "plan" if plan else "limit" if limit is not None else "derived"
    ceiling = PLANS[plan].limit if plan else limit if limit is not None else rows.total
    per_worker = rows.slots * share.per_job + share.per_worker
    reached = nodes if nodes_per_client is None else nodes_per_client
    return Datastore(
        name=name,
        title=title,
        nodes=nodes,
        plan=plan,
        limit=ceiling,
        limit_source=source,
        pool=pool,
        worker_pool=worker_pool,
        monitoring=monitoring,
        per_job=share.per_job,
        per_job_reason=share.reason,
        per_worker=share.per_worker,
        connections_per_worker=per_worker,
        nodes_per_client=reached,
        granted_per_worker=reached * per_worker,
        workers=rows.workers,
        rows=tuple(rows.rows),
        total=rows.total,
        reserve=reserve,
        head_room=ceiling - rows.total,
        fits=rows.total <= ceiling,
        smallest_plans=tuple(_smallest_plans(kind, rows.rows)) if kind else (),
        server=server,
        # Without operators nobody passes the sum less the reserve: above it is someone the budget does not
        # know. Critical is when half of the reserve before the limit is gone; rounded so that a full server
        # always is.
        alerts=Alerts(
            warning_above=rows.total - reserve,
            critical_above=ceiling - _ceil(reserve, 2),
            others=nodes
            * sum(row.connections for row in rows.rows if row.kind not in ("jobs", "workers", "reserve")),
            fleet=nodes * sum(row.connections for row in rows.rows if row.kind in ("jobs", "workers")),
        ),
    )


def _smallest_plans(kind: Kind, rows: Iterable[Row]) -> Iterable[PlanFit]:
    # On a provider's server our own peers are gone and the provider's share comes instead.
    ours = sum(row.connections for row in rows if row.kind not in ("peers", "provider"))
    for family in families(kind):
        total = ours + family.reserved
        smallest: Plan | None = next((plan for plan in plans_of(family) if total <= plan.limit), None)
        name, limit = (smallest.name, smallest.limit) if smallest else (None, None)
        yield PlanFit(family.title, name, limit, total)


def _rolling_options(config: StackConfig) -> tuple[RollingOption, ...]:
    chosen = config.fleet.rolling
    ways: list[FastRolling | StrictRolling] = [
        FastRolling(mode="fast", surge=chosen.surge),
        StrictRolling(mode="strict", surge=chosen.surge),
    ]
    options = []
    for way in ways:
        rolling = chosen if chosen.mode == way.mode else way
        fleet_config = config.fleet.model_copy(update={"rolling": rolling})
        fleet = _fleet(fleet_config)
        datastores = _datastores(config, fleet)
        options.append(
            RollingOption(
                mode=rolling.mode,
                chosen=rolling is chosen,
                surge=rolling.surge,
                workers_at_peak=fleet.workers_at_peak,
                connections={name: datastore.total for name, datastore in datastores.items()},
                fits=all(datastore.fits for datastore in datastores.values()),
                rollout_seconds=_time(fleet_config, fleet).rollout_seconds,
            )
        )
    return tuple(options)


def _warnings(config: StackConfig, time: Time, fleet: Fleet) -> Iterable[str]:
    grace = time.termination_grace_period_seconds
    for cap in PLATFORMS.get(config.fleet.platform or "", ()):
        if grace > cap.seconds:
            longest_call = cap.seconds - (grace - time.max_call_seconds)
            remedy = (
                f"max_call_seconds up to {longest_call} would fit"
                if longest_call > 0
                else "no call is that short"
            )
            yield (
                f"{config.fleet.platform}, {cap.event}: waits {grouped(cap.seconds)} s for a pod, "
                f"the grace period is {grouped(grace)} s: {cap.consequence} ({remedy}). Source: {cap.source}"
            )
    scaling = _scaling(config.fleet, fleet, time)
    if scaling.scale_down_pods == 0:
        needed = _ceil(grace, scaling.scale_down_period_seconds)
        yield (
            f"nothing pays for scaling down: an autoscaler will only add workers (fleet.rolling.failure_spare {needed} "
            f"would pay for one each {grouped(scaling.scale_down_period_seconds)} s)"
        )
    if scaling.buffer_jobs <= (overlooked := _overlooked(fleet)):
        yield (
            f"fleet.scaling.buffer_jobs {scaling.buffer_jobs}: before Kubernetes 1.35 an autoscaler overlooks "
            f"up to {grouped(overlooked)} jobs, a tenth of all, and no slot may be free then; {overlooked + 1} would do"
        )
    if fleet.surge > fleet.max_replicas:
        yield (
            f"fleet.rolling.surge {fleet.surge} is more than the fleet has "
            f"({_count(fleet.max_replicas, 'worker')}): the rest is never used"
        )
    if routers := config.mongodb.routers:
        room = routers.machines * routers.workers_per_machine
        if room < fleet.workers_at_peak:
            yield (
                f"mongodb.routers: {grouped(routers.machines)} machines of {routers.workers_per_machine} take "
                f"{grouped(room)} workers, the peak is {grouped(fleet.workers_at_peak)}: the others would wait"
            )
    for name in (config.mongodb.plan, config.redis.plan):
        if name and PLANS[name].note:
            yield f"{name}: {PLANS[name].note}"


def mix(old: Solution, new: Solution) -> Mixed:
    """What may connect while a rollout replaces the old fleet by the new one.

    Helm changes the pod quota before the fleet. Above the new quota no pod starts, old or new: the old peak alone, or
    the new quota filled with the dearer pods. Those may be old ones, even more than the old quota let in: what a larger
    quota lets in first is an old rollout that the old one held up (tests/model, test_change.py).
    """
    return Mixed(
        pods_at_once=max(old.fleet.workers_at_peak, new.fleet.workers_at_peak),
        old_gone_seconds=max(old.time.rollout_seconds, new.time.rollout_seconds),
        datastores={
            name: _mixed_datastore(before, after)
            for name, after in new.datastores.items()
            if (before := old.datastores.get(name))
        },
    )


def _mixed_datastore(before: Datastore, after: Datastore) -> MixedDatastore:
    moves = _moves(before, after)
    rows = _mixed_rows(before, after)
    total = after.total if moves else sum(row.connections for row in rows)
    limit_during = after.limit if moves else max(before.limit, after.limit)
    server = after.server
    if not moves and after.server and before.server:
        limit_during = max(limit_during, total)
        # A shrink keeps the old settings as they are: a restart less.
        kept = before.limit == limit_during != after.limit
        server = before.server if kept else _server_for(after.server, limit_during)
    return MixedDatastore(
        name=after.name,
        title=after.title,
        moves=moves,
        rows=() if moves else tuple(rows),
        total=total,
        limit_before=before.limit,
        limit_during=limit_during,
        limit_after=after.limit,
        fits=total <= limit_during,
        server_during=server,
        restarts_before=not moves and before.server != server,
        restarts_after=not moves and after.server != server,
    )


def _moves(before: Datastore, after: Datastore) -> bool:
    if before.plan and after.plan:
        return PLANS[before.plan].family != PLANS[after.plan].family
    return (before.server is None) != (after.server is None)


def _server_for(server: MongoDBServer | RedisServer, connections: int) -> MongoDBServer | RedisServer:
    """The same server, for so many connections."""
    if isinstance(server, MongoDBServer):
        return _mongodb_server(server.cache_mib, connections)
    return _redis_server(server.max_memory_mib, connections)


def _mixed_rows(before: Datastore, after: Datastore) -> list[Row]:
    cost_old, cost_new = before.connections_per_worker, after.connections_per_worker
    peak_old, peak_new = before.workers, after.workers
    alone = peak_old * cost_old
    together = peak_new * max(cost_old, cost_new)
    if alone >= together:
        formula = f"{_count(peak_old, 'old worker')} × {cost_old}, before the new ones"
    else:
        formula = f"{_count(peak_new, 'worker')} of either × {max(cost_old, cost_new)}"
    rows = [Row("both fleets", "workers", max(peak_old, peak_new), formula, max(alone, together), 0)]
    others: dict[tuple[str, RowKind], Row] = {}
    for row in (*before.rows, *after.rows):
        key = (row.name, row.kind)
        if row.kind not in ("jobs", "workers") and (
            key not in others or others[key].connections < row.connections
        ):
            others[key] = row
    for row in others.values():
        last = rows[-1]
        rows.append(dataclasses.replace(row, start=last.start + last.connections))
    return rows


if __name__ == "__main__":
    from infra.cli import main

    raise SystemExit(main())
