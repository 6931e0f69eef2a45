"""The cells of a stack: each a namespace with one fleet and its own datastores, all solved alike."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from infra.budget import solve
from infra.budget.solution import Solution, grouped
from infra.budget.suggestions import suggest
from infra.config import ConfigError, DeploymentConfig, Problem, StackConfig, parse_config
from infra.config.problems import NAMESPACE


class DoesNotFit(Exception):
    """The budget does not fit; the solver's own words, with what would."""


@dataclass(frozen=True)
class Cell:
    """One fleet and its datastores. `name` is empty where there is only one."""

    name: str
    namespace: str


def cells_of(config: StackConfig, deployment: DeploymentConfig) -> tuple[Cell, ...]:
    """One cell in the namespace itself, or several in namespaces with a number."""
    if config.fleet.cells == 1:
        return (Cell("", deployment.namespace),)
    numbers = range(1, config.fleet.cells + 1)
    return tuple(Cell(f"cell-{number}", f"{deployment.namespace}-{number}") for number in numbers)


def checked_config(
    values: Mapping[str, object], source: str
) -> tuple[StackConfig, DeploymentConfig, Solution]:
    """The typed config with its solution, ready to be deployed.

    Raises:
        ConfigError: with every problem of the values.
        DoesNotFit: with the numbers and the changes that would fit.
    """
    config = parse_config(values, source)
    deployment = config.deployment
    if deployment is None:
        text = "missing; accepted: a mapping with at least namespace"
        raise ConfigError([Problem(source, f"{NAMESPACE}:deployment", text)])
    if deployment.livekit == "external" and deployment.livekit_url is None:
        text = "missing beside livekit: external; accepted: the address at which workers register"
        raise ConfigError([Problem(source, f"{NAMESPACE}:deployment.livekit_url", text)])
    if deployment.secrets.source == "external" and deployment.secrets.store is None:
        text = "missing beside source: external; accepted: the name of a store of External Secrets"
        raise ConfigError([Problem(source, f"{NAMESPACE}:deployment.secrets.store", text)])
    solution = solve(config)
    if not solution.fits:
        raise DoesNotFit(_refusal(config, solution))
    return config, deployment, solution


def _refusal(config: StackConfig, solution: Solution) -> str:
    lines = [
        f"{one.title}: {grouped(one.total)} connections a node, the limit is {grouped(one.limit)}: "
        f"{grouped(one.total - one.limit)} too many. "
        + " + ".join(f"{row.name} {row.formula} = {grouped(row.connections)}" for row in one.rows)
        for one in solution.datastores.values()
        if not one.fits
    ]
    changes = [f"  - {suggestion.text}" for suggestion in suggest(config)]
    would = ["Any one of these would fit (each has been solved again):", *changes] if changes else []
    return "\n".join(["The budget does not fit, nothing was deployed.", *lines, *would])
