"""MongoDB: the members themselves, or routers and what stands behind them."""

from __future__ import annotations

from collections.abc import Iterator

from infra.budget.datastore import datastore_of
from infra.budget.rows import Rows, Share, share_of
from infra.budget.servers import mongodb_server
from infra.budget.solution import Datastore, Fleet, grouped
from infra.config import MongoDBConfig, Routers
from infra.datastores import MONGODB, MONGODB_SHARDS, MONGOS

# A mongos watches each member of each shard: a streaming socket and one that measures round trips, as
# drivers do; an estimate too, for no mongos was available. What ShardingTaskExecutorPoolMaxSize bounds: SERVER-25027.
ROUTER_MONITORS = 2


def mongodb_datastores(config: MongoDBConfig, fleet: Fleet) -> Iterator[Datastore]:
    """One, or two: what jobs connect to, and the shards behind it."""
    share = share_of(config, MONGODB.beside_pool[config.monitoring])
    if config.routers:
        yield _mongos(config, config.routers, share, fleet)
        yield _shards(config, config.routers)
        return
    rows = Rows(fleet.workers_at_peak, fleet.slots)
    rows.add_fleet(share)
    rows.add_consumers(config)
    own = config.plan is None and config.limit is None
    if own:
        rows.add_peers(config.nodes)
    rows.add_plan_and_reserve(config.plan, config.reserve)
    yield datastore_of(
        MONGODB,
        share,
        rows,
        nodes=config.nodes,
        plan=config.plan,
        limit=config.limit,
        pool=config.pool,
        worker_pool=config.worker_pool,
        reserve=config.reserve,
        monitoring=config.monitoring,
        server=mongodb_server(config.cache_mib, rows.total) if own else None,
    )


def _mongos(config: MongoDBConfig, routers: Routers, share: Share, fleet: Fleet) -> Datastore:
    """What jobs connect to: each machine's mongos takes the workers of that machine."""
    rows = Rows(routers.workers_per_machine, fleet.slots)
    rows.add_fleet(share)
    rows.add_plan_and_reserve(None, config.reserve)
    return datastore_of(
        MONGOS,
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
    rows = Rows(0, 0)
    holds = routers.pool + ROUTER_MONITORS
    rows.add("routers", "consumer", f"{grouped(routers.machines)} mongos × {holds}", routers.machines * holds)
    rows.add_consumers(config)
    members = config.nodes * routers.shards
    if config.limit is None:
        rows.add_peers(members)
    rows.add_plan_and_reserve(None, config.reserve)
    return datastore_of(
        MONGODB_SHARDS,
        Share(0, "nothing: it goes through its mongos", 0),
        rows,
        nodes=members,
        plan=None,
        limit=config.limit,
        pool=routers.pool,
        worker_pool=0,
        reserve=config.reserve,
        server=mongodb_server(config.cache_mib, rows.total) if config.limit is None else None,
    )
