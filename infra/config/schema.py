"""The stack config as typed models: what may be configured, in which range, with which default, and why.

Units are in the names (`_seconds`, `_mib`); every other number is a plain count. Models are strict (a string
is not a number, `true` is not 1), refuse unknown keys and cannot be changed once made.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    Field,
    StringConstraints,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic_core import InitErrorDetails, PydanticCustomError

from infra.config.deployment import DeploymentConfig
from infra.config.plans import PLANS, plan_names
from infra.config.platforms import PLATFORMS
from infra.config.section import Section, refuse
from infra.datastores import MONGODB, REDIS, DatastoreKind, kind_of
from infra.datastores.plan import Plan

MOST_JOBS = 1_000_000
"""The largest promise of one stack."""

CONSUMER_NAME = "a name of lower-case letters, digits, - and _, beginning with a letter, at most 40 long"
DATASTORE_NAME = (
    "a name of lower-case letters, digits and _ that begins with a letter, at most 40 long (<NAME>_POOL)"
)


def _known_plan(kind: DatastoreKind) -> Callable[[str], str]:
    def check(name: str) -> str:
        if not kind.plans:
            raise refuse(f"no such key: no plans of {kind.name} are known; for a managed server give limit:")
        plan = PLANS.get(name)
        if plan is None or plan.family.datastore != kind.name:
            belongs = f" ({name} is a plan for {plan.family.datastore})" if plan else ""
            raise refuse(
                f"one of {', '.join(plan_names(kind.name))}; for any other server give limit: instead{belongs}"
            )
        return name

    return check


def _known_platform(name: str) -> str:
    if name not in PLATFORMS:
        raise refuse(f"one of {', '.join(PLATFORMS)}, or no such key")
    return name


class FastRolling(Section):
    """All old pods may drain at once; the budget pays for them. Quick, costs connections."""

    mode: Literal["fast"] = Field(description="Pay in connections.")
    surge: int = Field(
        default=1, ge=1, le=1000, description="Pods started ahead of the old ones' end (maxSurge)."
    )
    rollouts_per_grace_period: int = Field(
        default=1,
        ge=1,
        le=100,
        description="Rollouts begun within the time that one takes (rollout_seconds, the grace period included); "
        "each leaves a whole fleet draining.",
    )


class StrictRolling(Section):
    """The pod quota lets a new pod start only when a drained one has gone. Slow, costs few connections."""

    mode: Literal["strict"] = Field(description="Pay in time.")
    surge: int = Field(default=1, ge=1, le=1000, description="Pods replaced at a time (maxSurge).")
    failure_spare: int = Field(
        default=1,
        ge=0,
        le=1000,
        description="Pods beside those, for evictions and scale-downs during a rollout.",
    )


Rolling = Annotated[FastRolling | StrictRolling, Field(discriminator="mode")]


class ScalingConfig(Section):
    """How the number of workers follows the number of calls, between min_replicas and what the promise needs."""

    min_replicas: int = Field(
        default=2,
        ge=1,
        le=100_000,
        description="Workers at the quietest time; at most what the promise needs.",
    )
    buffer_jobs: int | None = Field(
        default=None,
        ge=1,
        le=1_000_000,
        description="Free slots to keep ahead of the calls. Default: those of one worker, and more than a tenth of "
        "all, since an autoscaler lets a tenth pass.",
    )


class PodConfig(Section):
    """What the processes of a worker need.

    Seen with the text agent of this project (livekit-agents 1.8.9, x86-64, MiB): the main process 138, the fork server
    374, shared with what it forks; of its own a warm process has 36, a job 46. A voice pipeline that loads models in
    its jobs needs more: measure yours.
    """

    base_memory_mib: int = Field(
        default=560, ge=64, le=1_048_576, description="The main process and the one it forks jobs from."
    )
    job_memory_mib: int = Field(default=128, ge=16, le=1_048_576, description="The process of a running job.")
    idle_process_memory_mib: int = Field(
        default=64, ge=16, le=1_048_576, description="A warm process that waits for a job."
    )
    base_cpu_millicores: int = Field(default=100, ge=10, le=1_000_000, description="The main process.")
    job_cpu_millicores: int = Field(
        default=160,
        ge=1,
        le=1_000_000,
        description="A running job. LiveKit plans 4 cores for up to 25 voice jobs (docs, self-hosted agents).",
    )


class FleetConfig(Section):
    """The promise to callers, and the times that follow a call."""

    jobs: int = Field(ge=1, le=MOST_JOBS, description="The promise: calls at once, of all cells together.")
    cells: int = Field(
        default=1,
        ge=1,
        le=1000,
        description="Fleets that share the promise, each with datastores of its own. The budget is that of one cell.",
    )
    slots: int = Field(ge=1, le=1000, description="Jobs that one worker runs at once, at most.")
    idle_processes: int = Field(
        default=4,
        ge=0,
        le=1000,
        description="Warm processes beside the running ones. They hold no connections, only memory.",
    )
    max_call_seconds: int = Field(ge=1, le=43_200, description="After this the agent ends the call politely.")
    goodbye_seconds: int = Field(
        default=30, ge=1, le=3600, description="What the agent may use to end politely."
    )
    rejoin_seconds: int = Field(
        default=20,
        ge=0,
        le=3600,
        description="How long a caller who vanished keeps the slot (LiveKit's departure_timeout: 20).",
    )
    session_end_timeout_seconds: int = Field(
        default=60,
        ge=1,
        le=3600,
        description="on_session_end, where the transcript is saved (LiveKit's own default: 300).",
    )
    open_timeout_seconds: int = Field(
        default=10, ge=1, le=300, description="Opening all datastores of a job."
    )
    close_timeout_seconds: int = Field(
        default=8,
        ge=1,
        le=9,
        description="Closing them together, after the shutdown callbacks and before the process's end.",
    )
    pre_stop_seconds: int = Field(
        default=5, ge=0, le=600, description="preStop hook: time for endpoints to forget the pod."
    )
    worker_start_seconds: int = Field(
        default=60, ge=1, le=3600, description="From the pulled image to a registered worker."
    )
    rolling: Rolling = Field(
        default=FastRolling(mode="fast"),
        description="How pods are replaced: {mode: fast, ...} or {mode: strict, ...}.",
    )
    platform: Annotated[str, AfterValidator(_known_platform)] | None = Field(
        default=None, description="Where it runs; only warns of platforms that cut a grace period short."
    )
    scaling: ScalingConfig = Field(
        default_factory=ScalingConfig, description="How the number of workers follows the calls."
    )
    pod: PodConfig = Field(default_factory=PodConfig, description="Memory and CPU of a worker's processes.")


class Consumer(Section):
    """Someone else who connects to the datastore."""

    processes: int = Field(
        ge=1, le=100_000, description="Processes at once, surge of their own rollouts included."
    )
    connections: int = Field(
        ge=1, le=100_000, description="Connections of one process to one node, monitors included."
    )


ConsumerName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,39}$")]


class DatastoreConfig(Section):
    """What all datastores have in common. Without plan and limit it is our own server: limit derived."""

    limit: int | None = Field(
        default=None, ge=1, le=1_000_000, description="A managed server's plain limit, per node."
    )
    pool: int = Field(
        default=2, ge=1, le=1000, description="Connections a job's pool may open: one in use, one to spare."
    )
    worker_pool: int = Field(
        default=1,
        ge=0,
        le=1000,
        description="Pool of the worker lifespan's client, in the main process. 0: none is opened.",
    )
    reserve: int = Field(
        default=20, ge=1, le=100_000, description="Left free for operators; never spent by the fleet."
    )
    consumers: dict[ConsumerName, Consumer] = Field(
        default_factory=dict, description="Everyone else who connects, each by name."
    )


def _given(info: ValidationInfo, *keys: str) -> str | None:
    """The first of these keys that has been given a valid value."""
    return next((key for key in keys if info.data.get(key) is not None), None)


class Routers(Section):
    """A mongos on each machine of the workers' node pool, shared by the workers of that machine: a sharded cluster."""

    machines: int = Field(
        ge=1,
        le=100_000,
        description="Machines of the node pool, at its largest, and one more for each that may be lost and replaced "
        "within keepalive (5 minutes), for the shards keep the connections of its mongos as long.",
    )
    workers_per_machine: int = Field(
        ge=1, le=1000, description="Workers that one machine takes, at most: as the pods' requests have it."
    )
    shards: int = Field(default=1, ge=1, le=1000, description="Replica sets; nodes is the members of each.")
    pool: int = Field(
        default=10,
        ge=1,
        le=10_000,
        description="ShardingTaskExecutorPoolMaxSize, with taskExecutorPoolSize 1: connections of a mongos to each "
        "member of each shard, shared by all jobs of its machine.",
    )


class MongoDBConfig(DatastoreConfig):
    """MongoDB, or what speaks its protocol."""

    plan: Annotated[str, AfterValidator(_known_plan(MONGODB))] | None = Field(
        default=None, description="Managed plan."
    )
    nodes: int = Field(
        default=1, ge=1, le=50, description="Data-bearing members; each must fit all: any may become primary."
    )
    monitoring: Literal["poll", "stream"] = Field(
        default="poll",
        description="serverMonitoringMode. poll keeps 1 socket to a node beside the pool, stream 2.",
    )
    cache_mib: int = Field(
        default=256, ge=256, le=1_048_576, description="WiredTiger's cache, of a server of our own only."
    )

    routers: Routers | None = Field(
        default=None, description="Jobs connect to a mongos on their machine, and it to the shards."
    )

    @field_validator("plan")
    @classmethod
    def _one_of(cls, plan: str | None, info: ValidationInfo) -> str | None:
        return _no_plan_beside_limit(plan, info)

    @field_validator("routers")
    @classmethod
    def _routers_of_our_own(cls, routers: Routers | None, info: ValidationInfo) -> Routers | None:
        if routers is not None and _given(info, "plan"):
            raise refuse("no such key beside plan: a provider runs its own mongos, on the shards' machines")
        return routers

    @field_validator("cache_mib")
    @classmethod
    def _own_server(cls, value: int, info: ValidationInfo) -> int:
        return _only_for_own_server(value, info)


class RedisCluster(Section):
    """A Redis Cluster: each job has a pool to each node."""

    shards: int = Field(ge=1, le=500, description="Primaries; each holds a part of the keys.")
    replicas: int = Field(
        default=1,
        ge=0,
        le=5,
        description="Of each primary. They must take every job, too: any may become primary.",
    )

    @property
    def nodes(self) -> int:
        return self.shards * (1 + self.replicas)


class RedisConfig(DatastoreConfig):
    """Redis or Valkey."""

    reserve: int = Field(
        default=10, ge=1, le=100_000, description="Left free for operators; never spent by the fleet."
    )
    plan: Annotated[str, AfterValidator(_known_plan(REDIS))] | None = Field(
        default=None, description="Managed plan."
    )
    pubsub: int = Field(
        default=0, ge=0, le=100, description="Subscriptions a job holds open; each pins a connection."
    )
    blocking: int = Field(
        default=0, ge=0, le=100, description="Blocking commands (BLPOP, XREAD BLOCK) a job keeps waiting."
    )
    max_memory_mib: int = Field(
        default=128, ge=16, le=1_048_576, description="maxmemory, of a server of our own only."
    )
    sentinels: int = Field(
        default=0,
        ge=0,
        le=99,
        description="Sentinel nodes; a client asks one of them, over one connection, whenever it dials.",
    )
    sentinel_limit: int | None = Field(
        default=None,
        ge=1,
        le=1_000_000,
        description="A Sentinel's maxclients, if it is not Redis's default of 10000.",
    )
    cluster: RedisCluster | None = Field(
        default=None, description="A Redis Cluster, opened by redis+cluster:// in REDIS_URL."
    )

    @field_validator("plan")
    @classmethod
    def _one_of(cls, plan: str | None, info: ValidationInfo) -> str | None:
        return _no_plan_beside_limit(plan, info)

    @field_validator("max_memory_mib")
    @classmethod
    def _own_server(cls, value: int, info: ValidationInfo) -> int:
        return _only_for_own_server(value, info)

    @field_validator("sentinels")
    @classmethod
    def _no_sentinels_of_a_plan(cls, value: int, info: ValidationInfo) -> int:
        if value and (key := _given(info, "plan")):
            raise refuse(f"0 beside {key}: the provider does the failover")
        return value

    @field_validator("sentinel_limit")
    @classmethod
    def _with_sentinels(cls, value: int | None, info: ValidationInfo) -> int | None:
        if value is not None and info.data.get("sentinels") == 0:
            raise refuse("no such key while sentinels is 0")
        return value

    @field_validator("cluster")
    @classmethod
    def _of_others(cls, cluster: RedisCluster | None, info: ValidationInfo) -> RedisCluster | None:
        if cluster is not None and info.data.get("sentinels"):
            raise refuse("no such key beside sentinels: a Cluster fails over by itself")
        if cluster is not None and not _given(info, "plan", "limit"):
            raise refuse("a Cluster beside plan or limit alone: charts/redis runs one server")
        return cluster


class OtherConfig(DatastoreConfig):
    """Any other datastore: one of those that the registry knows, or one of your own."""

    # What is not given is not in the digest: a stack of before has none.
    plan: str | None = Field(
        default=None, exclude_if=lambda plan: plan is None, description="Managed plan, where some are known."
    )
    nodes: int = Field(
        default=1, ge=1, le=1000, description="Nodes a client connects to, each with a pool of its own."
    )
    beside_pool: int | None = Field(
        default=None,
        ge=0,
        le=100,
        description="Connections a client holds to each node beside its pool. Default: what the registry says "
        "(1 for weaviate, gRPC), else 0.",
    )

    @field_validator("plan")
    @classmethod
    def _one_of(cls, plan: str | None, info: ValidationInfo) -> str | None:
        return _no_plan_beside_limit(plan, info)


def _not_a_section(name: str) -> str:
    # `redis_sentinel` is a datastore of the budget, too.
    if (kind := kind_of(name)).of_its_own_section:
        raise refuse(f"no such name: {kind.section} has a section of its own")
    return name


DatastoreName = Annotated[
    str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,39}$"), AfterValidator(_not_a_section)
]


def _no_plan_beside_limit(plan: str | None, info: ValidationInfo) -> str | None:
    if plan is not None and _given(info, "limit"):
        raise refuse("plan or limit, not both: the limit of a plan is known")
    return plan


def _only_for_own_server(value: int, info: ValidationInfo) -> int:
    if key := _given(info, "plan", "limit"):
        raise refuse(f"no such key beside {key}: it sizes a server of our own, a managed one has its size")
    return value


class StackConfig(Section):
    """Everything the budget is solved from: the keys under `agent-datastores:` in a stack file."""

    fleet: FleetConfig = Field(description="The promise and its times.")
    mongodb: MongoDBConfig = Field(default_factory=MongoDBConfig, description="MongoDB's side of the budget.")
    redis: RedisConfig = Field(default_factory=RedisConfig, description="Redis's side of the budget.")
    datastores: dict[DatastoreName, OtherConfig] = Field(
        default_factory=dict, description="Every further datastore by name; one that is absent costs nothing."
    )
    deployment: DeploymentConfig | None = Field(
        default=None, description="Where and how Pulumi deploys it; changes no number of the budget."
    )

    @field_validator("datastores")
    @classmethod
    def _plans_of_each(cls, datastores: dict[str, OtherConfig]) -> dict[str, OtherConfig]:
        # Here, for a datastore's section does not know under which name it stands.
        errors: list[InitErrorDetails] = []
        for name, config in datastores.items():
            try:
                if config.plan is not None:
                    _known_plan(kind_of(name))(config.plan)
            except PydanticCustomError as error:
                errors.append(InitErrorDetails(type=error, loc=(name, "plan"), input=config.plan))
        if errors:
            raise ValidationError.from_exception_data(cls.__name__, errors)
        return datastores

    @property
    def plans(self) -> tuple[Plan, ...]:
        """Those that datastores are on."""
        further = [self.datastores[name] for name in sorted(self.datastores)]
        sections: list[MongoDBConfig | RedisConfig | OtherConfig] = [self.mongodb, self.redis, *further]
        return tuple(PLANS[section.plan] for section in sections if section.plan)

    def section_of(self, kind: DatastoreKind) -> DatastoreConfig:
        """What is configured of a datastore; of a part, with the whole. Raises KeyError: it is not configured."""
        if not kind.of_its_own_section:
            return self.datastores[kind.name]
        section: DatastoreConfig = getattr(self, kind.section)
        return section
