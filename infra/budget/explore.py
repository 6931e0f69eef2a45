"""The budget in the other directions: from a limit or a plan to the most calls at once. It asks the solver."""

from __future__ import annotations

from dataclasses import dataclass

from infra.budget.solver import solve
from infra.budget.suggestions import Changes, largest
from infra.config import StackConfig, apply_overrides
from infra.config.fleet import MOST_JOBS
from infra.config.plans import PLANS, families, plans_of
from infra.datastores import MONGODB, kind_of
from infra.datastores.plan import Family, Plan


@dataclass(frozen=True)
class PlanJobs:
    """The most calls at once that one plan of a datastore takes, whatever the others say; 0 when not even one."""

    plan: str
    limit: int
    jobs: int


def most_jobs(config: StackConfig) -> int | None:
    """The largest `fleet.jobs` with which this stack fits; 0 when not even one does, None when nothing limits it."""
    solution = solve(config)
    if all(datastore.limit_source == "derived" for datastore in solution.datastores.values()):
        return None
    return largest(1, MOST_JOBS, lambda jobs: solve(_with(config, jobs)).fits) or 0


def jobs_by_plan(config: StackConfig, family: Family) -> tuple[PlanJobs, ...]:
    """The family's plans from small to large, each with the most calls it takes."""
    return tuple(_of_plan(config, plan) for plan in plans_of(family))


def curves(config: StackConfig) -> tuple[Family, dict[str, tuple[PlanJobs, ...]]]:
    """Calls by MongoDB's plan, as the stack is and with other pools and rolling; of its own provider, or else Atlas."""
    mongodb = config.mongodb
    family = PLANS[mongodb.plan].family if mongodb.plan else families(MONGODB.name)[0]
    found = {
        f"pool {pool}, {config.fleet.rolling.mode}": jobs_by_plan(
            apply_overrides(config, {"mongodb.pool": pool}), family
        )
        for pool in sorted({1, mongodb.pool, 5, 10})
    }
    other = next(option for option in solve(config).rolling_options if not option.chosen)
    rolling = {"mode": other.mode, "surge": other.surge}
    rolled = apply_overrides(config, {"fleet.rolling": rolling})
    return family, found | {f"pool {mongodb.pool}, {other.mode}": jobs_by_plan(rolled, family)}


def plan_changes(plan: str) -> Changes:
    """The overrides that put a datastore on this plan: what belongs to a server of our own goes."""
    kind = kind_of(PLANS[plan].family.datastore)
    return {f"{kind.section}.plan": plan, kind.limit_key: None, **dict.fromkeys(kind.not_beside_plan)}


def _of_plan(config: StackConfig, plan: Plan) -> PlanJobs:
    on_plan = apply_overrides(config, plan_changes(plan.name))
    name = plan.family.datastore
    jobs = largest(1, MOST_JOBS, lambda jobs: solve(_with(on_plan, jobs)).datastores[name].fits) or 0
    return PlanJobs(plan.name, plan.limit, jobs)


def _with(config: StackConfig, jobs: int) -> StackConfig:
    return config.model_copy(update={"fleet": config.fleet.model_copy(update={"jobs": jobs})})
