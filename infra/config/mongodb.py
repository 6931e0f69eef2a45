"""MongoDB's section, with the routers of a sharded cluster."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, ValidationInfo, field_validator

from infra.config.datastore import (
    DatastoreConfig,
    given,
    known_plan,
    no_plan_beside_limit,
    only_for_own_server,
)
from infra.config.section import Section, refuse
from infra.datastores import MONGODB


class Routers(Section):
    """A mongos on each machine of the workers' node pool, shared by the workers of that machine: a sharded cluster."""

    machines: int = Field(
        ge=1,
        le=100_000,
        description="Machines of the node pool, at its largest, and one more for each that may be lost and replaced "
        "within keepalive (5 minutes), for the shards keep the connections of its mongos as long.",
    )
    workers_per_machine: int = Field(
        ge=1, le=1000, description="Workers that one machine takes, at most: as the pods' requests have it."
    )
    shards: int = Field(default=1, ge=1, le=1000, description="Replica sets; nodes is the members of each.")
    pool: int = Field(
        default=10,
        ge=1,
        le=10_000,
        description="ShardingTaskExecutorPoolMaxSize, with taskExecutorPoolSize 1: connections of a mongos to each "
        "member of each shard, shared by all jobs of its machine.",
    )


class MongoDBConfig(DatastoreConfig):
    """MongoDB, or what speaks its protocol."""

    plan: Annotated[str, AfterValidator(known_plan(MONGODB))] | None = Field(
        default=None, description="Managed plan."
    )
    nodes: int = Field(
        default=1, ge=1, le=50, description="Data-bearing members; each must fit all: any may become primary."
    )
    monitoring: Literal["poll", "stream"] = Field(
        default="poll",
        description="serverMonitoringMode. poll keeps 1 socket to a node beside the pool, stream 2.",
    )
    cache_mib: int = Field(
        default=256, ge=256, le=1_048_576, description="WiredTiger's cache, of a server of our own only."
    )

    routers: Routers | None = Field(
        default=None, description="Jobs connect to a mongos on their machine, and it to the shards."
    )

    @field_validator("plan")
    @classmethod
    def _one_of(cls, plan: str | None, info: ValidationInfo) -> str | None:
        return no_plan_beside_limit(plan, info)

    @field_validator("routers")
    @classmethod
    def _routers_of_our_own(cls, routers: Routers | None, info: ValidationInfo) -> Routers | None:
        if routers is not None and given(info, "plan"):
            raise refuse("no such key beside plan: a provider runs its own mongos, on the shards' machines")
        return routers

    @field_validator("cache_mib")
    @classmethod
    def _own_server(cls, value: int, info: ValidationInfo) -> int:
        return only_for_own_server(value, info)
