"""Redis: one server or a Cluster, and the Sentinels that name its primary."""

from __future__ import annotations

from infra.budget.datastore import datastore_of
from infra.budget.rows import Rows, Share, count
from infra.budget.servers import redis_server
from infra.budget.solution import Datastore, Fleet
from infra.config import RedisConfig
from infra.datastores import REDIS, REDIS_CLUSTER, REDIS_SENTINEL

# A client asks one Sentinel at a time, whenever it dials (agent/runtime/datastores/redis_sentinel.py); any of them may
# be the one that all ask at once. A Sentinel opens a command and a pub/sub link to the server it watches and a command
# link to each other Sentinel (redis/src/sentinel.c, instanceLink); counted in the kernel.
LINKS_TO_SENTINEL = 1
# The bus of a Cluster: a node counts its links to and from every other against maxclients (Valkey 9.1 of maxclients 20
# took 16 clients in a cluster of three, and 9 in one of six beside its replica).
BUS_LINKS = 2
# A replica's link, and the second that a full copy may open (dual-channel replication).
LINKS_OF_A_REPLICA = 2
LINKS_FROM_SENTINEL = 2
# As redis.conf has it.
REDIS_DEFAULT_MAXCLIENTS = 10_000


def redis_datastore(config: RedisConfig, fleet: Fleet) -> Datastore:
    """Each node of it."""
    # One bounded pool gives all of them: subscriptions and blocking commands pin connections of it.
    pool_size = config.pool + config.pubsub + config.blocking
    parts = {"pool": config.pool, "pub/sub": config.pubsub, "blocking": config.blocking}
    reason = " + ".join(f"{part} {count}" for part, count in parts.items() if count)
    share = Share(pool_size, reason, config.worker_pool)
    rows = Rows(fleet.workers_at_peak, fleet.slots)
    rows.add_fleet(share)
    rows.add_consumers(config)
    if config.sentinels:
        links = config.sentinels * LINKS_FROM_SENTINEL
        rows.add("sentinels", "peers", f"{config.sentinels} Sentinels × {LINKS_FROM_SENTINEL}", links)
    cluster = config.cluster
    if cluster and not config.plan:
        others = cluster.nodes - 1
        if others:
            rows.add("bus", "peers", f"{count(others, 'other node')} × {BUS_LINKS}", others * BUS_LINKS)
        if cluster.replicas:
            # One more than its own: a primary that has lost all of its replicas is given another's.
            links = cluster.replicas + 1
            formula = f"{count(links, 'replica')} × {LINKS_OF_A_REPLICA}"
            rows.add("replicas", "peers", formula, links * LINKS_OF_A_REPLICA)
    rows.add_plan_and_reserve(config.plan, config.reserve)
    own = config.plan is None and config.limit is None
    return datastore_of(
        REDIS_CLUSTER if cluster else REDIS,
        share,
        rows,
        nodes=cluster.nodes if cluster else 1,
        plan=config.plan,
        limit=config.limit,
        pool=pool_size,
        worker_pool=config.worker_pool,
        reserve=config.reserve,
        server=redis_server(config.max_memory_mib, rows.total) if own else None,
    )


def sentinel_datastore(config: RedisConfig, fleet: Fleet) -> Datastore:
    """Each Sentinel."""
    per_worker = LINKS_TO_SENTINEL if config.worker_pool else 0
    share = Share(LINKS_TO_SENTINEL, "one connection to a Sentinel, while it asks", per_worker)
    rows = Rows(fleet.workers_at_peak, fleet.slots)
    rows.add_fleet(share)
    if others := config.sentinels - 1:
        rows.add("sentinels", "peers", f"{others} other Sentinels × 1", others)
    rows.add_plan_and_reserve(None, config.reserve)
    return datastore_of(
        REDIS_SENTINEL,
        share,
        rows,
        nodes=config.sentinels,
        plan=None,
        limit=config.sentinel_limit or REDIS_DEFAULT_MAXCLIENTS,
        pool=LINKS_TO_SENTINEL,
        worker_pool=share.per_worker,
        reserve=config.reserve,
    )
