"""What all datastores have in common: pools, limits, plans, and who else connects."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from pydantic import Field, StringConstraints, ValidationInfo

from infra.config.plans import PLANS, plan_names
from infra.config.section import Section, refuse
from infra.datastores import DatastoreKind

CONSUMER_NAME = "a name of lower-case letters, digits, - and _, beginning with a letter, at most 40 long"


class Consumer(Section):
    """Someone else who connects to the datastore."""

    processes: int = Field(
        ge=1, le=100_000, description="Processes at once, surge of their own rollouts included."
    )
    connections: int = Field(
        ge=1, le=100_000, description="Connections of one process to one node, monitors included."
    )


ConsumerName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,39}$")]


class DatastoreConfig(Section):
    """What all datastores have in common. Without plan and limit it is our own server: limit derived."""

    limit: int | None = Field(
        default=None, ge=1, le=1_000_000, description="A managed server's plain limit, per node."
    )
    pool: int = Field(
        default=2, ge=1, le=1000, description="Connections a job's pool may open: one in use, one to spare."
    )
    worker_pool: int = Field(
        default=1,
        ge=0,
        le=1000,
        description="Pool of the worker lifespan's client, in the main process. 0: none is opened.",
    )
    reserve: int = Field(
        default=20, ge=1, le=100_000, description="Left free for operators; never spent by the fleet."
    )
    consumers: dict[ConsumerName, Consumer] = Field(
        default_factory=dict, description="Everyone else who connects, each by name."
    )


def known_plan(kind: DatastoreKind) -> Callable[[str], str]:
    def check(name: str) -> str:
        if not kind.plans:
            raise refuse(f"no such key: no plans of {kind.name} are known; for a managed server give limit:")
        plan = PLANS.get(name)
        if plan is None or plan.family.datastore != kind.name:
            belongs = f" ({name} is a plan for {plan.family.datastore})" if plan else ""
            raise refuse(
                f"one of {', '.join(plan_names(kind.name))}; for any other server give limit: instead{belongs}"
            )
        return name

    return check


def given(info: ValidationInfo, *keys: str) -> str | None:
    """The first of these keys that has been given a valid value."""
    return next((key for key in keys if info.data.get(key) is not None), None)


def no_plan_beside_limit(plan: str | None, info: ValidationInfo) -> str | None:
    if plan is not None and given(info, "limit"):
        raise refuse("plan or limit, not both: the limit of a plan is known")
    return plan


def only_for_own_server(value: int, info: ValidationInfo) -> int:
    if key := given(info, "plan", "limit"):
        raise refuse(f"no such key beside {key}: it sizes a server of our own, a managed one has its size")
    return value
