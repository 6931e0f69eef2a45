"""How many calls at once the datastores would take: today, and with the next plan. No formula: tried and solved."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from infra.budget.solution import Datastore
from infra.budget.solver import solve
from infra.budget.suggestions import most_jobs_on
from infra.config import StackConfig
from infra.config.plans import PLANS, plans_of
from infra.datastores import kind_of

TODAY = "today"


@dataclass(frozen=True)
class Room:
    """The most calls at once that one datastore's limit takes; the others may take fewer."""

    datastore: str
    plan: str
    """`today`, or the name of a plan it could move to."""
    jobs: int


def capacity(config: StackConfig) -> tuple[Room, ...]:
    """For each datastore the calls it takes today, then with plans one may move to; a plan that takes none is left out.

    A server of our own is sized for the promise, and takes that.
    """
    rooms: list[Room] = []
    for datastore in solve(config).datastores.values():
        own = datastore.limit_source == "derived"
        today = config.fleet.jobs if own else most_jobs_on(config, datastore.name, {})
        rooms.append(Room(datastore.name, TODAY, today or 0))
        rooms += [
            Room(datastore.name, plan, jobs)
            for plan in _plans_to_move_to(datastore)
            if (
                jobs := most_jobs_on(
                    config, datastore.name, {f"{kind_of(datastore.name).section}.plan": plan}
                )
            )
        ]
    return tuple(rooms)


def _plans_to_move_to(datastore: Datastore) -> Iterator[str]:
    """The next larger plan of the same provider; for a server that has none, the smallest of each that takes it."""
    if datastore.plan is not None:
        larger = (plan for plan in plans_of(PLANS[datastore.plan].family) if plan.limit > datastore.limit)
        yield from (plan.name for plan in list(larger)[:1])
    elif datastore.limit_source == "derived":
        yield from (fit.plan for fit in datastore.smallest_plans if fit.plan)
