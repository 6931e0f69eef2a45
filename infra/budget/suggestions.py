"""What would fit when the budget does not. No formula: a change is tried, solved, and kept if it fits."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from infra.budget.fleet import jobs_per_cell
from infra.budget.solution import Datastore, Solution, grouped
from infra.budget.solver import solve
from infra.config import ConfigError, FastRolling, StackConfig, apply_overrides
from infra.config.fleet import MOST_JOBS
from infra.config.plans import PLANS, plans_of
from infra.datastores import DatastoreKind, kind_of

Changes = dict[str, object]


@dataclass(frozen=True)
class Suggestion:
    """Changes which, applied together by `apply_overrides`, make the budget fit: this has been tried."""

    changes: Changes
    text: str


def suggest(config: StackConfig) -> tuple[Suggestion, ...]:
    """What would fit, cheapest for the callers first; empty when the config fits as it is."""
    solution = solve(config)
    if solution.fits:
        return ()
    found: list[Suggestion] = []
    thrifty = [changes for changes in _thrifty_changes(config) if _fits(config, changes)]
    fewest = min(map(len, thrifty), default=0)
    found += [_suggestion(changes) for changes in thrifty if len(changes) == fewest]
    if changes := _larger_limits(config, solution):
        found.append(_suggestion(changes))
    found += _fewer_jobs(config)
    found += _cells(config)
    return tuple(found)


def _solved(config: StackConfig, changes: Mapping[str, object]) -> Solution | None:
    """The solution after these changes; None when they are not allowed."""
    try:
        return solve(apply_overrides(config, changes))
    except ConfigError:
        return None


def _fits(config: StackConfig, changes: Mapping[str, object]) -> bool:
    solution = _solved(config, changes)
    return solution is not None and solution.fits


def _suggestion(changes: Changes) -> Suggestion:
    return Suggestion(changes, ", ".join(f"{key}: {written(value)}" for key, value in changes.items()))


def written(value: object) -> str:
    """A value as one would write it in a stack file."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {inner}" for key, inner in value.items()) + "}"
    return str(value)


def _thrifty_changes(config: StackConfig) -> Iterator[Changes]:
    """Combinations of polling, rolling and smaller pools, each with pools as large as then fit."""
    bases: list[Changes] = [{}]
    if config.mongodb.monitoring == "stream":
        bases.append({"mongodb.monitoring": "poll"})
    for base in bases:
        yield base
        yield from _with_pools(config, base)
        for rolling in _rolling(config, base):
            yield base | rolling
        yield from _with_strict_rolling_and_pools(config, base)


def _with_pools(config: StackConfig, base: Changes) -> Iterator[Changes]:
    """The base with the largest pools that fit, of those datastores alone that do not fit without."""
    changes = dict(base)
    solution = _solved(config, changes)
    if solution is None:
        return
    for name, datastore in solution.datastores.items():
        kind = kind_of(name)
        if datastore.fits or not kind.opened:
            continue
        largest = _largest_pool(config, kind, changes)
        if largest is None:
            return
        changes[f"{kind.section}.pool"] = largest
    if changes != base:
        yield changes


def _largest_pool(config: StackConfig, kind: DatastoreKind, base: Changes) -> int | None:
    key, pool = f"{kind.section}.pool", config.section_of(kind).pool
    return largest(1, pool, lambda value: _one_fits(config, kind.name, base | {key: value}))


def _one_fits(config: StackConfig, name: str, changes: Changes) -> bool:
    solution = _solved(config, changes)
    return solution is not None and solution.datastores[name].fits


def _rolling(config: StackConfig, base: Changes) -> Iterator[Changes]:
    """Rolling that spends fewer spare pods, no fewer than needed."""
    rolling = config.fleet.rolling
    if isinstance(rolling, FastRolling):
        key = "fleet.rolling.rollouts_per_grace_period"
        most = rolling.rollouts_per_grace_period
        fewer = largest(1, most, lambda value: _fits(config, base | _fast(config, value)))
        if fewer is not None and fewer < most:
            yield {key: fewer} if "rolling" in config.fleet.model_fields_set else _fast(config, fewer)
    surge = largest(1, rolling.surge, lambda value: _fits(config, base | _strict(config, value)))
    if surge is not None:
        yield _strict(config, surge)


def _with_strict_rolling_and_pools(config: StackConfig, base: Changes) -> list[Changes]:
    """Strict rolling with the surge of today and smaller pools; one pod at a time if that is needed."""
    for surge in (config.fleet.rolling.surge, 1):
        if found := list(_with_pools(config, base | _strict(config, surge))):
            return found
    return []


def _fast(config: StackConfig, rollouts: int) -> Changes:
    surge = config.fleet.rolling.surge
    return {"fleet.rolling": {"mode": "fast", "surge": surge, "rollouts_per_grace_period": rollouts}}


def _strict(config: StackConfig, surge: int) -> Changes:
    failure_spare = getattr(config.fleet.rolling, "failure_spare", 1)
    return {"fleet.rolling": {"mode": "strict", "surge": surge, "failure_spare": failure_spare}}


def _larger_limits(config: StackConfig, solution: Solution) -> Changes | None:
    """The next plan of the same provider, or the limit one would have to have, wherever it does not fit."""
    changes: Changes = {}
    for datastore in solution.datastores.values():
        if datastore.fits:
            continue
        change = _larger_limit(config, datastore)
        if change is None:
            return None
        changes |= change
    return changes if _fits(config, changes) else None


def _larger_limit(config: StackConfig, datastore: Datastore) -> Changes | None:
    if datastore.plan is None:
        return {kind_of(datastore.name).limit_key: datastore.total}
    key = f"{kind_of(datastore.name).section}.plan"
    for plan in plans_of(PLANS[datastore.plan].family):
        if _one_fits(config, datastore.name, {key: plan.name}):
            return {key: plan.name}
    return None


def _fewer_jobs(config: StackConfig) -> Iterator[Suggestion]:
    jobs = largest(1, config.fleet.jobs, lambda value: _fits(config, {"fleet.jobs": value}))
    if jobs is not None:
        changes: Changes = {"fleet.jobs": jobs}
        yield Suggestion(changes, f"fleet.jobs: {jobs} (the most calls at once that fit as it is)")


def most_jobs_on(config: StackConfig, name: str, base: Changes) -> int | None:
    """The most calls at once that one datastore's limit takes after these changes; None when it takes none."""
    return largest(1, MOST_JOBS, lambda value: _one_fits(config, name, base | {"fleet.jobs": value}))


def _cells(config: StackConfig) -> Iterator[Suggestion]:
    most = min(config.fleet.jobs, 1000)
    cells = _smallest(config.fleet.cells + 1, most, lambda value: _fits(config, {"fleet.cells": value}))
    if cells is not None:
        jobs = jobs_per_cell(config.fleet.jobs, cells)
        text = f"fleet.cells: {cells} (fleets of {grouped(jobs)} calls, each with datastores of its own)"
        yield Suggestion({"fleet.cells": cells}, text)


def largest(low: int, high: int, fits: Callable[[int], bool]) -> int | None:
    """The largest value that fits, given that smaller ones do as well; None when not even the lowest does."""
    if low > high or not fits(low):
        return None
    while low < high:
        middle = high - (high - low) // 2
        if fits(middle):
            low = middle
        else:
            high = middle - 1
    return low


def _smallest(low: int, high: int, fits: Callable[[int], bool]) -> int | None:
    """The smallest value that fits, given that larger ones do too; None when not even the highest does."""
    if low > high or not fits(high):
        return None
    while low < high:
        middle = low + (high - low) // 2
        if fits(middle):
            high = middle
        else:
            low = middle + 1
    return low
