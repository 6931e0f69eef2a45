"""The Pulumi program: stack config → budget → cells, each a namespace with its datastores and its fleet.

A stack that does not fit is refused here, in the preview already, and so is a change that would break a promise to the
calls that run.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import asdict

import pulumi
import pulumi_kubernetes as kubernetes
from rich.console import Console

from infra.budget.capacity import capacity
from infra.budget.explore import most_jobs
from infra.budget.solution import Solution
from infra.config import ConfigError, DeploymentConfig, StackConfig
from infra.report.tables import print_report
from infra.stack.cells import Cell, DoesNotFit, cells_of, checked_config
from infra.stack.components.cell import CellArgs, CellStack
from infra.stack.components.charts import Place
from infra.stack.components.operators import Operators
from infra.stack.components.secrets import wanted
from infra.stack.foreign import refuse_foreign, secrets_there
from infra.stack.inputs import stack_values
from infra.stack.rollover import Refused, Rollover, plan_rollover
from infra.stack.running import ClusterError, look


def main() -> None:
    """Registers every resource of the stack, and its outputs. Raises pulumi.RunError where it refuses."""
    source = f"Pulumi.{pulumi.get_stack()}.yaml"
    try:
        config, deployment, solution = checked_config(stack_values(), source)
        rollovers = _rollovers(config, deployment, solution)
    except (ConfigError, DoesNotFit, Refused, ClusterError) as refusal:
        raise pulumi.RunError(str(refusal)) from None
    endpoints = _cells(config, deployment, rollovers)
    table = io.StringIO()
    print_report(Console(file=table, width=110, highlight=False), source, solution, (), most_jobs(config))
    pulumi.export("budget", summary(solution))
    pulumi.export("budget_table", table.getvalue())
    pulumi.export("endpoints", endpoints)
    pulumi.export(
        "next",
        [
            "the table: pulumi stack output budget_table",
            "a call: python -m infra.local call, or agent.runtime.dispatch.place_call from your backend",
            *(f"{cell.namespace}: {rollover.note}" for cell, rollover in rollovers.items() if rollover.note),
        ],
    )


def _rollovers(config: StackConfig, deployment: DeploymentConfig, solution: Solution) -> dict[Cell, Rollover]:
    """What each cell may become, given what is there. Raises Refused, ClusterError."""
    cells = cells_of(config, deployment)
    # Of External Secrets its operator says whose they are.
    made = wanted(deployment, solution) if deployment.secrets.source == "config" else ()
    for cell in cells:
        refuse_foreign(cell.namespace, secrets_there(deployment.context, cell.namespace, made))
    return {cell: plan_rollover(config, look(deployment.context, cell.namespace)) for cell in cells}


def _cells(
    config: StackConfig, deployment: DeploymentConfig, rollovers: Mapping[Cell, Rollover]
) -> dict[str, dict[str, str]]:
    """Registers every cell; returns its endpoints by namespace."""
    cluster = kubernetes.Provider(
        "cluster",
        context=deployment.context,
        # Every name is fixed and read by others: a replacement would delete first, and pods that start meanwhile fail.
        # Changed in place, they reach pods by the charts' checksums, and Secrets by `secretsRevision`.
        enable_config_map_mutable=True,
        enable_secret_mutable=True,
        # What `data: keep` left, and what an `up` that was killed had made already, is taken over. A field that
        # somebody else has set otherwise is still a conflict, with their name.
        upsert_existing_objects=True,
    )
    operators = Operators("operators", deployment, cluster)
    rooms = capacity(config)
    endpoints = {}
    for cell, rollover in rollovers.items():
        place = Place(cell.namespace, deployment, rollover.solution, rooms, cluster)
        options = pulumi.ResourceOptions(depends_on=operators.releases)
        endpoints[cell.namespace] = CellStack(cell.namespace, CellArgs(place, rollover), options).endpoints
        if rollover.note:
            pulumi.log.warn(f"{cell.namespace}: {rollover.note}")
    return endpoints


def summary(solution: Solution) -> dict[str, object]:
    """The budget's figures as an output: what a cell has, and what each server may see."""
    names = ("plan", "limit", "total", "reserve", "connections_per_worker")
    return {
        "digest": solution.digest,
        "fits": solution.fits,
        "fleet": asdict(solution.fleet),
        "time": asdict(solution.time),
        "datastores": {
            key: {name: getattr(one, name) for name in names} for key, one in solution.datastores.items()
        },
    }
