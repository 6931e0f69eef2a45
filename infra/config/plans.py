"""Every plan that `plan:` accepts, by what the registry says of each datastore."""

from __future__ import annotations

from infra.datastores import KINDS
from infra.datastores.plan import Family, Plan

PLANS: dict[str, Plan] = {plan.name: plan for kind in KINDS.values() for plan in kind.plans}
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
