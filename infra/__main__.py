"""The Pulumi program: stack config → budget → cells, each a namespace with its datastores and its fleet.

`pulumi up` in this folder, or `make kind-up`. A stack that does not fit is refused here, in the preview already, and
so is a change that would break a promise to the calls that run.
"""

from __future__ import annotations

import io
import sys
from pathlib import Path

# Pulumi runs this file by its folder; the project is the folder above, and this one's modules belong to `infra`.
sys.path[0] = str(Path(__file__).resolve().parents[1])

import pulumi
import pulumi_kubernetes as kubernetes
from rich.console import Console

from infra.capacity import capacity
from infra.cells import DoesNotFit, cells_of, checked_config
from infra.components.cell import CellArgs, CellStack
from infra.components.charts import Place
from infra.components.operators import Operators
from infra.config import ConfigError
from infra.explore import most_jobs
from infra.program import stack_values, summary
from infra.report import print_report
from infra.rollover import Refused, plan_rollover
from infra.running import ClusterError, look

source = f"Pulumi.{pulumi.get_stack()}.yaml"
try:
    config, deployment, solution = checked_config(stack_values(), source)
    cells = cells_of(config, deployment)
    rollovers = {cell: plan_rollover(config, look(deployment.context, cell.namespace)) for cell in cells}
except (ConfigError, DoesNotFit, Refused, ClusterError) as refusal:
    raise pulumi.RunError(str(refusal)) from None

cluster = kubernetes.Provider("cluster", context=deployment.context)
operators = Operators("operators", deployment, cluster)
rooms = capacity(config)
endpoints = {}
for cell, rollover in rollovers.items():
    place = Place(cell.namespace, deployment, rollover.solution, rooms, cluster)
    options = pulumi.ResourceOptions(depends_on=operators.releases)
    endpoints[cell.namespace] = CellStack(cell.namespace, CellArgs(place, rollover), options).endpoints
    if rollover.note:
        pulumi.log.warn(f"{cell.namespace}: {rollover.note}")

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
