"""Two fleets at once: what may connect while a rollout replaces the old one by the new."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from infra.budget.deployed import Deployed, DeployedDatastore, DeployedRow
from infra.budget.rows import count
from infra.budget.servers import mongodb_server, redis_server
from infra.budget.solution import Mixed, MixedDatastore, MongoDBServer, RedisServer, Row
from infra.config.plans import PLANS


def mix(old: Sequence[Deployed], new: Deployed) -> Mixed:
    """What may connect while a rollout replaces the fleets that are there by the new one.

    Helm changes the pod quota before the fleet. Above the new quota no pod starts, old or new: the old peak alone, or
    the new quota filled with the pods that hold more. Those may be old ones, even more than the old quota let in: what
    a larger quota lets in first is an old rollout that the old one held up (tests/model, test_change.py).

    Args:
        old: what was deployed and may still have workers, the oldest first; the same budget may come twice.
    """
    every = (*old, new)
    return Mixed(
        pods_at_once=max(one.fleet.workers_at_peak for one in every),
        old_gone_seconds=max(one.time.rollout_seconds for one in every),
        datastores={
            name: _mixed_datastore(name, befores, after)
            for name, after in new.datastores.items()
            if (befores := [one.datastores[name] for one in old if name in one.datastores])
        },
    )


def _mixed_datastore(
    name: str, befores: Sequence[DeployedDatastore], after: DeployedDatastore
) -> MixedDatastore:
    here = [before for before in befores if not _moves(before, after)]
    if not here:
        return _moved(name, befores[-1], after)
    latest = here[-1]
    # What the server was given when the latest of them was deployed on top of those before it.
    now = _mixed_datastore(name, here[:-1], latest) if here[:-1] else None
    limit_now, server_now = _limit_of(latest), latest.server
    if now:
        limit_now, server_now = now.limit_during, now.server_during
    rows = _mixed_rows(here, after)
    total = sum(row.connections for row in rows)
    limit_during = max(after.limit, limit_now)
    server = after.server
    if after.server and server_now:
        limit_during = max(limit_during, total)
        # A shrink keeps the old settings as they are: a restart less.
        kept = limit_now == limit_during != after.limit
        server = server_now if kept else _server_for(after.server, limit_during)
    return MixedDatastore(
        name=name,
        title=after.title,
        moves=False,
        rows=tuple(rows),
        total=total,
        limit_before=limit_now,
        limit_during=limit_during,
        limit_after=after.limit,
        # A plan that takes less than was known when the old fleet was made: what makes it no worse may go on.
        fits=total <= max(limit_during, now.total if now else latest.total),
        server_during=server,
        restarts_before=server_now != server,
        restarts_after=after.server != server,
    )


def _moved(name: str, before: DeployedDatastore, after: DeployedDatastore) -> MixedDatastore:
    """Another server, which sees the new fleet alone."""
    return MixedDatastore(
        name=name,
        title=after.title,
        moves=True,
        rows=(),
        total=after.total,
        limit_before=_limit_of(before),
        limit_during=after.limit,
        limit_after=after.limit,
        fits=after.total <= after.limit,
        server_during=after.server,
        restarts_before=False,
        restarts_after=False,
    )


def _limit_of(datastore: DeployedDatastore) -> int:
    """What a plan takes is what is known of it today, not what was thought when a fleet was made for it."""
    plan = PLANS.get(datastore.plan or "")
    return plan.limit if plan else datastore.limit


def _moves(before: DeployedDatastore, after: DeployedDatastore) -> bool:
    plans = [PLANS[one.plan] for one in (before, after) if one.plan in PLANS]
    if len(plans) == 2:
        return plans[0].family != plans[1].family
    return (before.server is None) != (after.server is None)


def _server_for(server: MongoDBServer | RedisServer, connections: int) -> MongoDBServer | RedisServer:
    """The same server, for so many connections."""
    if isinstance(server, MongoDBServer):
        return mongodb_server(server.cache_mib, connections)
    return redis_server(server.max_memory_mib, connections)


def _mixed_rows(befores: Sequence[DeployedDatastore], after: DeployedDatastore) -> list[Row]:
    every = (*befores, after)
    # While the quota of each of them was in force, or is: its pods, all of the dearest kind that was there by then.
    costs = itertools.accumulate((one.connections_per_worker for one in every), max)
    stages = [(one.workers * cost, one.workers, cost) for one, cost in zip(every, costs, strict=True)]
    connections, workers, cost = max(stages, key=lambda stage: stage[0])  # the earliest of equals
    if stages.index((connections, workers, cost)) < len(befores):
        formula = f"{count(workers, 'old worker')} × {cost}, before the new ones"
    else:
        formula = f"{count(workers, 'worker')} of either × {cost}"
    most = max(one.workers for one in every)
    rows = [Row("both fleets", "workers", most, formula, connections, 0)]
    others: dict[tuple[str, str], DeployedRow] = {}
    for row in (row for one in every for row in one.others):
        key = (row.name, row.kind)
        if key not in others or others[key].connections < row.connections:
            others[key] = row
    for row in others.values():
        last = rows[-1]
        start = last.start + last.connections
        rows.append(Row(row.name, row.kind, None, row.formula, row.connections, start))
    return rows
