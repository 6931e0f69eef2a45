"""Every further datastore, under the name that it is given."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field, StringConstraints, ValidationInfo, field_validator

from infra.config.datastore import DatastoreConfig, no_plan_beside_limit
from infra.config.section import refuse
from infra.datastores import kind_of

DATASTORE_NAME = (
    "a name of lower-case letters, digits and _ that begins with a letter, at most 40 long (<NAME>_POOL)"
)


class OtherConfig(DatastoreConfig):
    """Any other datastore: one of those that the registry knows, or one of your own."""

    # What is not given is not in the digest: a stack of before has none.
    plan: str | None = Field(
        default=None, exclude_if=lambda plan: plan is None, description="Managed plan, where some are known."
    )
    nodes: int = Field(
        default=1, ge=1, le=1000, description="Nodes a client connects to, each with a pool of its own."
    )
    beside_pool: int | None = Field(
        default=None,
        ge=0,
        le=100,
        description="Connections a client holds to each node beside its pool. Default: what the registry says "
        "(1 for weaviate, gRPC), else 0.",
    )

    @field_validator("plan")
    @classmethod
    def _one_of(cls, plan: str | None, info: ValidationInfo) -> str | None:
        return no_plan_beside_limit(plan, info)


def _not_a_section(name: str) -> str:
    # `redis_sentinel` is a datastore of the budget, too.
    if (kind := kind_of(name)).of_its_own_section:
        raise refuse(f"no such name: {kind.section} has a section of its own")
    return name


DatastoreName = Annotated[
    str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,39}$"), AfterValidator(_not_a_section)
]
