"""Redis or Valkey: one server, or a Cluster; and the Sentinels that name its primary."""

from __future__ import annotations

from dataclasses import replace

from infra.datastores.kind import DatastoreKind, OwnServer

REDIS = DatastoreKind(
    name="redis",
    title="Redis",
    section="redis",
    limit_key="redis.limit",
    url_variable="REDIS_URL",
    ports=(6379,),
    own_server=OwnServer(container="valkey", limit_setting="maxclients"),
    takes_plans=True,
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
    part_of="redis",
)
