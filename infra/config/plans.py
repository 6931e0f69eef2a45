"""Managed databases whose connection limit is fixed by the plan one pays for.

Every number carries the vendor's page it was read on and the day it was checked. A plan that is not listed is
given as a plain `limit:` instead.
"""

from __future__ import annotations

from dataclasses import dataclass

from infra.datastores import MONGODB, REDIS

# Stored copies of the pages were read on this day; the copies themselves may be some weeks older.
CHECKED = "2026-11-23"


@dataclass(frozen=True)
class Family:
    """Plans of one provider that one can move between without moving the data by hand."""

    title: str
    datastore: str
    """That takes them, by its name."""
    reserved: int
    """Connections on each node that the provider keeps for itself, out of the limit."""
    reserved_reason: str
    source: str
    checked: str = CHECKED


@dataclass(frozen=True)
class Plan:
    """One plan. `limit` is the number of client connections that one node accepts."""

    name: str
    family: Family
    limit: int
    note: str = ""


_ATLAS_SOURCE = "MongoDB Atlas, Service Limits: https://www.mongodb.com/docs/atlas/reference/atlas-limits/"

ATLAS = Family("Atlas", MONGODB.name, 10, "Atlas keeps 10 a node for its own services", _ATLAS_SOURCE)
# The Low-CPU class has other limits under the same size: an R40 accepts 4 000 where an M40 accepts 6 000.
ATLAS_LOW_CPU = Family("Atlas Low-CPU", MONGODB.name, 10, ATLAS.reserved_reason, _ATLAS_SOURCE)
DOCUMENTDB = Family(
    "DocumentDB serverless",
    MONGODB.name,
    0,
    "",
    "Amazon DocumentDB Developer Guide, serverless instance limits: "
    "https://docs.aws.amazon.com/documentdb/latest/developerguide/docdb-serverless-instance-limits.html",
)
ELASTICACHE = Family(
    "ElastiCache",
    REDIS.name,
    0,
    "",
    "Amazon ElastiCache User Guide, large number of connections: "
    "https://docs.aws.amazon.com/AmazonElastiCache/latest/dg/BestPractices.Clients.Redis.Connections.html",
)

_ATLAS_LIMITS = {
    "m0": 500,
    "m10": 1_500,
    "m20": 3_000,
    "m30": 3_000,
    "m40": 6_000,
    "m50": 16_000,
    "m60": 32_000,
    "m80": 96_000,
    "m140": 96_000,
    "m200": 128_000,
    "m300": 128_000,
}
_ATLAS_LOW_CPU_LIMITS = {
    "r40": 4_000,
    "r50": 16_000,
    "r60": 32_000,
    "r80": 64_000,
    "r140": 96_000,
    "r200": 128_000,
    "r300": 128_000,
    "r400": 128_000,
    "r700": 128_000,
}
# 1.5 DCU is left out: the page gives it 7 250, between 500 at 1 and 1 000 at 2, which can only be a slip.
_DOCUMENTDB_LIMITS = {
    "0.5": 250,
    "1": 500,
    "2": 1_000,
    "4": 2_000,
    "8": 4_000,
    "16": 8_000,
    "32": 16_000,
    "64": 32_000,
    "128": 60_000,
    "256": 60_000,
}
_ATLAS_NOTES = {
    "m0": "free tier: shared, for trials only",
    # Earlier copies of the page gave M80 64 000, and it has tables by cloud of which one was read.
    "m80": "read on the table for AWS; look up the one of your cloud",
}
_ELASTICACHE_LIMIT = 65_000
_ELASTICACHE_NOTE = (
    "AWS excepts some node types from the 65 000; on a t-type node, read maxclients in INFO clients "
    "and give it as redis.limit"
)

_SERVERLESS_NOTE = (
    "it speaks the Cluster's protocol alone: REDIS_URL is rediss+cluster://, and redis.cluster is {shards: 1, "
    "replicas: 0}, its one endpoint"
)


def _all_plans() -> tuple[Plan, ...]:
    plans = [
        Plan(f"atlas-{size}", ATLAS, limit, _ATLAS_NOTES.get(size, ""))
        for size, limit in _ATLAS_LIMITS.items()
    ]
    plans += [Plan(f"atlas-{size}", ATLAS_LOW_CPU, limit) for size, limit in _ATLAS_LOW_CPU_LIMITS.items()]
    plans += [
        Plan(
            f"documentdb-serverless-{dcu}",
            DOCUMENTDB,
            limit,
            f"the limit follows the capacity of the moment: set MinCapacity to {dcu} DCU",
        )
        for dcu, limit in _DOCUMENTDB_LIMITS.items()
    ]
    plans.append(Plan("elasticache-node", ELASTICACHE, _ELASTICACHE_LIMIT, _ELASTICACHE_NOTE))
    plans.append(Plan("elasticache-serverless", ELASTICACHE, _ELASTICACHE_LIMIT, _SERVERLESS_NOTE))
    return tuple(plans)


PLANS: dict[str, Plan] = {plan.name: plan for plan in _all_plans()}
"""Every plan by its name, each family from small to large."""


def plan_names(datastore: str) -> tuple[str, ...]:
    """Names accepted as `plan:` of this datastore."""
    return tuple(name for name, plan in PLANS.items() if plan.family.datastore == datastore)


def families(datastore: str) -> tuple[Family, ...]:
    """Families that serve this datastore, in the order in which they are shown."""
    return tuple(dict.fromkeys(plan.family for plan in PLANS.values() if plan.family.datastore == datastore))


def plans_of(family: Family) -> tuple[Plan, ...]:
    """The plans of one family, from small to large."""
    return tuple(plan for plan in PLANS.values() if plan.family == family)
