"""One datastore's side of the budget, from its rows: limit, head room, alerts, the plans that would take it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from infra.budget.arithmetic import ceil
from infra.budget.rows import Rows, Share
from infra.budget.solution import Alerts, Datastore, LimitSource, MongoDBServer, PlanFit, RedisServer, Row
from infra.config.plans import PLANS, families, plans_of
from infra.datastores import DatastoreKind
from infra.datastores.plan import Plan


def datastore_of(
    kind: DatastoreKind,
    share: Share,
    rows: Rows,
    *,
    nodes: int,
    nodes_per_client: int | None = None,
    plan: str | None,
    limit: int | None,
    pool: int,
    worker_pool: int,
    reserve: int,
    monitoring: Literal["poll", "stream"] | None = None,
    server: MongoDBServer | RedisServer | None = None,
) -> Datastore:
    """What the rows come to, against the limit."""
    source: LimitSource = "plan" if plan else "limit" if limit is not None else "derived"
    ceiling = PLANS[plan].limit if plan else limit if limit is not None else rows.total
    per_worker = rows.slots * share.per_job + share.per_worker
    reached = nodes if nodes_per_client is None else nodes_per_client
    return Datastore(
        name=kind.name,
        title=kind.title,
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
        smallest_plans=tuple(_smallest_plans(kind.name, rows.rows)) if kind.plans else (),
        server=server,
        # Without operators nobody passes the sum less the reserve: above it is someone the budget does not
        # know. Critical is when half of the reserve before the limit is gone; rounded so that a full server
        # always is.
        alerts=Alerts(
            warning_above=rows.total - reserve,
            critical_above=ceiling - ceil(reserve, 2),
            others=nodes
            * sum(row.connections for row in rows.rows if row.kind not in ("jobs", "workers", "reserve")),
            fleet=nodes * sum(row.connections for row in rows.rows if row.kind in ("jobs", "workers")),
        ),
    )


def _smallest_plans(datastore: str, rows: Iterable[Row]) -> Iterable[PlanFit]:
    # On a provider's server our own peers are gone and the provider's share comes instead.
    ours = sum(row.connections for row in rows if row.kind not in ("peers", "provider"))
    for family in families(datastore):
        total = ours + family.reserved
        smallest: Plan | None = next((plan for plan in plans_of(family) if total <= plan.limit), None)
        name, limit = (smallest.name, smallest.limit) if smallest else (None, None)
        yield PlanFit(family.title, name, limit, total)
