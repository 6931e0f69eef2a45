"""Redis or Valkey: one server, or a Cluster; and the Sentinels that name its primary."""

from __future__ import annotations

from dataclasses import replace

from infra.datastores.kind import DatastoreKind, OwnServer
from infra.datastores.plan import Family, Plan

NAME = "redis"

ELASTICACHE = Family(
    "ElastiCache",
    NAME,
    0,
    "",
    "Amazon ElastiCache User Guide, large number of connections: "
    "https://docs.aws.amazon.com/AmazonElastiCache/latest/dg/BestPractices.Clients.Redis.Connections.html",
)
_ELASTICACHE_LIMIT = 65_000
_ELASTICACHE_NOTE = (
    "AWS excepts some node types from the 65 000; on a t-type node, read maxclients in INFO clients "
    "and give it as redis.limit"
)

_SERVERLESS_NOTE = (
    "it speaks the Cluster's protocol alone: REDIS_URL is rediss+cluster://, and redis.cluster is {shards: 1, "
    "replicas: 0}, its one endpoint"
)
ELASTICACHE_PLANS = (
    Plan("elasticache-node", ELASTICACHE, _ELASTICACHE_LIMIT, _ELASTICACHE_NOTE),
    Plan("elasticache-serverless", ELASTICACHE, _ELASTICACHE_LIMIT, _SERVERLESS_NOTE),
)

REDIS = DatastoreKind(
    name=NAME,
    title="Redis",
    section="redis",
    limit_key="redis.limit",
    url_variable="REDIS_URL",
    ports=(6379,),
    own_server=OwnServer(container="valkey", limit_setting="maxclients"),
    plans=ELASTICACHE_PLANS,
    not_beside_plan=("redis.max_memory_mib", "redis.sentinels", "redis.sentinel_limit"),
)
REDIS_CLUSTER = replace(REDIS, title="Redis Cluster", own_server=None)
REDIS_SENTINEL = DatastoreKind(
    name="redis_sentinel",
    title="Redis Sentinel",
    section="redis",
    limit_key="redis.sentinel_limit",
    url_variable="REDIS_URL",  # redis+sentinel://
    ports=(26379,),
    part_of=NAME,
)

KINDS = (REDIS, REDIS_SENTINEL)
