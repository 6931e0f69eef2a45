"""Redis's section, with Sentinels and the Cluster."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field, ValidationInfo, field_validator

from infra.config.datastore import (
    DatastoreConfig,
    given,
    known_plan,
    no_plan_beside_limit,
    only_for_own_server,
)
from infra.config.section import Section, refuse
from infra.datastores import REDIS


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
    plan: Annotated[str, AfterValidator(known_plan(REDIS))] | None = Field(
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
        return no_plan_beside_limit(plan, info)

    @field_validator("max_memory_mib")
    @classmethod
    def _own_server(cls, value: int, info: ValidationInfo) -> int:
        return only_for_own_server(value, info)

    @field_validator("sentinels")
    @classmethod
    def _no_sentinels_of_a_plan(cls, value: int, info: ValidationInfo) -> int:
        if value and (key := given(info, "plan")):
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
        if cluster is not None and not given(info, "plan", "limit"):
            raise refuse("a Cluster beside plan or limit alone: charts/redis runs one server")
        return cluster
