"""Every further datastore: a pool to each node, and what its client holds beside it."""

from __future__ import annotations

from dataclasses import replace

from infra.budget.datastore import datastore_of
from infra.budget.rows import Rows, share_of
from infra.budget.solution import Datastore, Fleet
from infra.config import OtherConfig
from infra.datastores import ALWAYS, Sockets, kind_of


def other_datastore(name: str, config: OtherConfig, fleet: Fleet) -> Datastore:
    """Each node of it."""
    kind = kind_of(name)
    beside = kind.beside_pool.get(ALWAYS, Sockets(0, "beside it"))
    if config.beside_pool is not None:
        beside = replace(beside, number=config.beside_pool)
    share = share_of(config, beside)
    rows = Rows(fleet.workers_at_peak, fleet.slots)
    rows.add_fleet(share)
    rows.add_consumers(config)
    rows.add_plan_and_reserve(config.plan, config.reserve)
    return datastore_of(
        kind,
        share,
        rows,
        nodes=config.nodes,
        plan=config.plan,
        limit=config.limit,
        pool=config.pool,
        worker_pool=config.worker_pool,
        reserve=config.reserve,
    )
