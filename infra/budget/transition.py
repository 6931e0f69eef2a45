"""From one solved budget to another, under load: whether both fleets fit at once, and in which steps.

Nothing is calculated here: `budget.mix` counts the mixed fleet, and another way round is tried by solving it. The old
side is what was deployed (`infra/budget/deployed.py`), from a record or just solved: it is never solved again.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from infra.budget.deployed import Deployed, deployed
from infra.budget.fleet import jobs_for
from infra.budget.mixed import mix
from infra.budget.solution import Datastore, Mixed, MixedDatastore, Solution, grouped
from infra.budget.solver import solve
from infra.config import ConfigError, StackConfig, apply_overrides


@dataclass(frozen=True)
class Step:
    """One `pulumi up`, or something to do by hand; what it needs first, and what it changes."""

    title: str
    effects: tuple[str, ...]


@dataclass(frozen=True)
class Transition:
    """A change of a running stack."""

    old: tuple[Deployed, ...]
    """The oldest first; more than one where a change is made before the one before it is through."""
    new: Solution
    mixed: Mixed
    steps: tuple[Step, ...]
    detour: StackConfig | None
    """A config on the way, when both fleets together do not fit but each half of the way does."""

    @property
    def fits(self) -> bool:
        """Whether it can be done as it is, without the detour."""
        return self.old_fits and self.new.fits and self.mixed.fits

    @property
    def old_fits(self) -> bool:
        """Whether what is there fitted by itself."""
        return all(one.fits for one in self.old)

    @property
    def two_ups(self) -> bool:
        """Whether servers of our own shrink after the fleet has: a second `pulumi up`."""
        return any(datastore.restarts_after for datastore in self.mixed.datastores.values())

    def as_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {
            "from": self.old[-1].digest,
            "to": self.new.digest,
            "fits": self.fits,
            **dataclasses.asdict(self.mixed),
            "steps": [dataclasses.asdict(step) for step in self.steps],
            "detour": self.detour.model_dump(mode="json", exclude_unset=True) if self.detour else None,
        }


def plan_transition(
    old: Sequence[Deployed], new: StackConfig, old_config: StackConfig | None = None
) -> Transition:
    """Counts the mixed fleet and orders the steps: what grows before the fleet, what shrinks after it.

    Args:
        old: what may be there, the oldest first; at least one.
        old_config: of the last of them, where it is known: a way round may begin with it.
    """
    after = solve(new)
    transition = Transition(old=tuple(old), new=after, mixed=mix(old, deployed(after)), steps=(), detour=None)
    if transition.fits:
        return dataclasses.replace(transition, steps=tuple(_steps(transition)))
    return dataclasses.replace(transition, detour=_detour(transition, new, old_config))


def while_both_run(transition: Transition) -> Solution:
    """The new solution with servers of our own as large as both fleets need: what is deployed first."""
    return dataclasses.replace(
        transition.new,
        datastores={
            name: _held(datastore, transition) for name, datastore in transition.new.datastores.items()
        },
    )


def _held(datastore: Datastore, transition: Transition) -> Datastore:
    mixed = transition.mixed.datastores.get(datastore.name)
    if not mixed or not mixed.restarts_after:
        return datastore
    return dataclasses.replace(
        datastore,
        limit=mixed.limit_during,
        server=mixed.server_during,
        # Both fleets may be there: what is known to the old budget is no stranger.
        alerts=next(
            (
                before.alerts
                for one in reversed(transition.old)
                if (before := one.datastores.get(datastore.name)) and before.limit == mixed.limit_during
            ),
            datastore.alerts,
        ),
    )


def _steps(transition: Transition) -> Iterator[Step]:
    old, new, mixed = transition.old[-1], transition.new, transition.mixed
    datastores = list(mixed.datastores.values())
    by_hand = [d for d in datastores if d.server_during is None and d.limit_after > d.limit_before]
    if by_hand:
        yield Step("at the provider, before anything else", tuple(_limit_change(d, new) for d in by_hand))
    servers = [d for d in datastores if d.restarts_before]
    yield Step("pulumi up", (*map(_restart_before, servers), *_fleet_effects(old, new, mixed)))
    shrinking = [d for d in datastores if d.restarts_after]
    gone = f"when the last old worker is gone, {grouped(mixed.old_gone_seconds)} s after the rollout began at most"
    if shrinking:
        yield Step(f"pulumi up again, {gone}", tuple(map(_restart_after, shrinking)))
    by_hand = [d for d in datastores if d.server_during is None and d.limit_after < d.limit_before]
    if by_hand:
        yield Step(f"at the provider, {gone}", tuple(_limit_change(d, new) for d in by_hand))
    if moving := [d for d in datastores if d.moves]:
        texts = (f"{d.title} becomes another server: its data is not moved by this program" for d in moving)
        yield Step("yours to do", tuple(texts))


def _limit_change(datastore: MixedDatastore, new: Solution) -> str:
    plan = new.datastores[datastore.name].plan
    what = f"plan {plan}" if plan else "its limit"
    return f"{datastore.title}: {what}, {_from_to(datastore.limit_before, datastore.limit_after)} a node"


def _restart_before(datastore: MixedDatastore) -> str:
    limits = _from_to(datastore.limit_before, datastore.limit_during)
    return f"{datastore.title} before the fleet: limit {limits}; the server restarts, calls reconnect"


def _restart_after(datastore: MixedDatastore) -> str:
    limits = _from_to(datastore.limit_during, datastore.limit_after)
    return f"{datastore.title}: limit {limits}; the server restarts, calls reconnect"


def _fleet_effects(old: Deployed, new: Solution, mixed: Mixed) -> Iterator[str]:
    if old.digest == new.digest:
        yield "the fleet: its numbers stay; a new image or new settings still roll it"
        return
    before, after = old.fleet, new.fleet
    yield (
        f"pod quota {_from_to(before.workers_at_peak, after.quota_pods)}, then the fleet rolls: "
        f"workers {_from_to(before.max_replicas, after.max_replicas)}, slots {_from_to(before.slots, after.slots)}"
    )
    yield f"at most {grouped(mixed.pods_at_once)} pods at once, old and new together"


def _from_to(old: int, new: int) -> str:
    return f"{grouped(old)} → {grouped(new)}" if old != new else f"{grouped(old)} as before"


def _detour(transition: Transition, new: StackConfig, old: StackConfig | None) -> StackConfig | None:
    """First the new worker at the old number of workers, or first the new number of the old worker."""
    after, before = transition.new, transition.old[-1]
    if not (transition.old_fits and after.fits):
        return None
    candidates = [(new, {"fleet.jobs": jobs_for(before.fleet.max_replicas, after.fleet.slots)})]
    if old:
        candidates.append((old, {"fleet.jobs": jobs_for(after.fleet.max_replicas, before.fleet.slots)}))
    for config, changes in candidates:
        try:
            middle = apply_overrides(config, changes)
        except ConfigError:
            continue
        solved = solve(middle)
        half_way = deployed(solved)
        if solved.fits and mix(transition.old, half_way).fits and mix([half_way], deployed(after)).fits:
            return middle
    return None
