"""A fleet as deployed: a stack's own values, and of the solved budget only what Kubernetes is given.

Those are replicas, surge, the quota, and the times of a pod. Pools and consumers come from the stack; no sum is taken.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import simpy

from infra.budget.solution import Solution
from infra.config import RedisConfig, StackConfig
from tests.model.kubernetes import Cluster
from tests.model.servers import Client, Share, Store
from tests.model.worker import Call, Template

# What a driver keeps to each node beside its pool (FACTS.md, counted in the kernel); what one member of a replica set
# opens to each other, and a mongos to each member: these are the budget's own estimates, which no model can confirm.
MONITORING_SOCKETS = {"poll": 1, "stream": 2}
GRPC_CHANNELS = {"weaviate": 1}
ESTIMATED_PER_PEER = 10
SENTINELS_LINKS_TO_REDIS = 2
# To and from each other node of a Cluster; a replica's link, and the second of a full copy.
CLUSTER_LINKS = 2
LINKS_OF_A_REPLICA = 2
ESTIMATED_SOCKETS_OF_A_MONGOS = 2

# livekit-agents 1.8.9: a job's process is initialised within 7.5 s + 10 s of its acceptance; after its call's end it
# may take 15 s (entrypoint) + 60 s (session) + session_end_timeout + 10 s (callbacks, exit).
JOB_STARTS_WITHIN = 17.5
JOB_ENDS_WITHIN = 15 + 60 + 20


@dataclass(frozen=True)
class Pace:
    """How fast things go in one run. Seconds."""

    latency: float
    """Of controllers and kubelets."""
    start: Callable[[], float]
    """From a pod's creation to a registered worker, drawn for each."""
    machines: int = 3


class Fleet:
    """The fleet of one stack, with everybody else who connects to its datastores."""

    def __init__(self, config: StackConfig, solution: Solution, pace: Pace, chance: random.Random) -> None:
        self.config, self.solution = config, solution
        self.env = simpy.Environment()
        self.chance = chance
        self.stores = {one.name: one for one in _stores(config)}
        routers = config.mongodb.routers
        self.cluster = Cluster(
            self.env,
            self.stores,
            surge=config.fleet.rolling.surge,
            quota=solution.fleet.quota_pods,
            machines=routers.machines if routers else pace.machines,
            room=routers.workers_per_machine if routers else None,
            start_seconds=pace.start,
            latency=pace.latency,
            chance=chance,
        )
        self.lost_calls = 0
        self._others: list[Client] = []
        self._connect_others()

    @property
    def longest_job(self) -> float:
        """Seconds from an initialised process to its end, at most."""
        fleet = self.config.fleet
        call = fleet.open_timeout_seconds + fleet.max_call_seconds + fleet.goodbye_seconds
        return call + JOB_ENDS_WITHIN + fleet.session_end_timeout_seconds

    @property
    def capacity(self) -> int:
        """Jobs of a whole fleet that nobody drains."""
        return self.solution.fleet.max_replicas * self.config.fleet.slots

    @property
    def widest(self) -> int:
        """More operations at once than any pool has connections."""
        others = (other.pool for other in self.config.datastores.values())
        return 1 + max(self.config.mongodb.pool, self.config.redis.pool, *others)

    def template(self) -> Template:
        """The pod template that this stack comes to."""
        mongodb, redis = self.config.mongodb, self.config.redis
        monitors = MONITORING_SOCKETS[mongodb.monitoring]
        pinned = redis.pubsub + redis.blocking
        job = {
            "mongodb": Share(mongodb.pool, monitors),
            "redis": Share(redis.pool + pinned, pinned=pinned),
            "redis_sentinel": Share(0, 1),
        }
        worker = {
            "mongodb": Share(mongodb.worker_pool, monitors if mongodb.worker_pool else 0),
            "redis": Share(redis.worker_pool),
            "redis_sentinel": Share(0, 1 if redis.worker_pool else 0),
        }
        for name, other in self.config.datastores.items():
            beside = GRPC_CHANNELS.get(name, 0) if other.beside_pool is None else other.beside_pool
            job[name] = Share(other.pool, beside)
            worker[name] = Share(other.worker_pool, beside if other.worker_pool else 0)
        time = self.solution.time
        return Template(
            slots=self.config.fleet.slots,
            job={name: share for name, share in job.items() if name in self.stores},
            worker={name: share for name, share in worker.items() if name in self.stores},
            pre_stop=time.pre_stop_seconds,
            drain_timeout=time.drain_timeout_seconds,
            grace=time.termination_grace_period_seconds,
        )

    def place(self, calls: int, call: Callable[[], Call]) -> None:
        """Offer calls to the workers that LiveKit knows, each once to each in random order; no queue, no retry."""
        workers = list(self.cluster.workers())
        for _ in range(calls):
            self.chance.shuffle(workers)
            placed = call()
            if not any(worker.offer(placed) for worker in workers):
                self.lost_calls += 1

    def fill(self, call: Call) -> None:
        """Give every slot that is free such a call."""
        for worker in self.cluster.workers():
            while worker.offer(call):
                pass

    def use_everything(self) -> None:
        """Everybody fills their pools, on whatever node is primary now."""
        for worker in self.cluster.workers():
            worker.use()
            for job in worker.jobs:
                job.use(self.widest)
        for other in self._others:
            other.use(1_000_000)

    @property
    def accepted(self) -> int:
        """Connections opened so far."""
        return sum(node.accepted for store in self.stores.values() for node in store.nodes)

    def peaks(self) -> dict[str, list[int]]:
        """Datastore → the most connections that each node ever had."""
        return {name: [node.peak for node in store.nodes] for name, store in self.stores.items()}

    def _connect_others(self) -> None:
        """Consumers, peers, the provider and the operators: they may connect to any node, at any time."""
        mongodb, redis = self.config.mongodb, self.config.redis
        data = "mongodb_shards" if mongodb.routers else "mongodb"
        sections = {data: mongodb, "redis": redis, **self.config.datastores}
        for name, section in sections.items():
            store = self.stores[name]
            for consumer in section.consumers.values():
                for _ in range(consumer.processes):
                    self._others.append(Client(store, Share(0, consumer.connections)))
            self._others.append(Client(store, Share(0, section.reserve)))
        for plan in self.config.plans:
            self._others.append(Client(self.stores[plan.family.datastore], Share(0, plan.family.reserved)))
        if mongodb.plan is None and mongodb.limit is None:
            for _ in self.stores[data].nodes[1:]:  # what one node gets from each of the other members
                self._others.append(Client(self.stores[data], Share(0, ESTIMATED_PER_PEER)))
        if routers := mongodb.routers:
            self._others.append(Client(self.stores["mongodb"], Share(0, mongodb.reserve)))
            for _ in range(routers.machines):
                share = Share(routers.pool, ESTIMATED_SOCKETS_OF_A_MONGOS)
                self._others.append(Client(self.stores[data], share))
        self._connect_peers_of_redis(redis)

    def _connect_peers_of_redis(self, redis: RedisConfig) -> None:
        if redis.cluster and not redis.plan:
            for _ in range(redis.cluster.nodes - 1):
                self._others.append(Client(self.stores["redis"], Share(0, CLUSTER_LINKS)))
            for _ in range(redis.cluster.replicas + 1 if redis.cluster.replicas else 0):
                self._others.append(Client(self.stores["redis"], Share(0, LINKS_OF_A_REPLICA)))
        for _ in range(redis.sentinels):
            self._others.append(Client(self.stores["redis"], Share(0, SENTINELS_LINKS_TO_REDIS)))
        for _ in range(redis.sentinels - 1):  # what one Sentinel gets from each of the others
            self._others.append(Client(self.stores["redis_sentinel"], Share(0, 1)))
        if redis.sentinels:
            self._others.append(Client(self.stores["redis_sentinel"], Share(0, redis.reserve)))


def _stores(config: StackConfig) -> Iterator[Store]:
    mongodb, redis = config.mongodb, config.redis
    if routers := mongodb.routers:
        yield Store("mongodb", routers.machines, local=True)
        yield Store("mongodb_shards", mongodb.nodes * routers.shards, every=True)
    else:
        yield Store("mongodb", mongodb.nodes)
    yield Store("redis", redis.cluster.nodes if redis.cluster else 1, every=redis.cluster is not None)
    if redis.sentinels:
        yield Store("redis_sentinel", redis.sentinels)
    for name, other in config.datastores.items():
        yield Store(name, other.nodes, every=True)
