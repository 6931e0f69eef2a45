"""The live table of `make up`: what every worker says, what the budget grants, what the kernel counts."""

from __future__ import annotations

from rich import box
from rich.table import Table
from rich.text import Text

from infra.local.gauges import STATES, Gauges
from infra.local.stack import MONGODB, REDIS, Stack
from infra.local.watch import Watch

NO_ANSWER = "no answer"


def table(stack: Stack, watch: Watch) -> Table:
    """One row a worker, one for each server."""
    datastores = [stack.solution.datastores[name] for name in (MONGODB, REDIS)]
    shown = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    shown.add_column("")
    shown.add_column("jobs / slots", justify="right")
    for datastore in datastores:
        shown.add_column(f"{datastore.title}\nin use · idle · monitoring", justify="right")
        shown.add_column("\nheld / budget", justify="right")
    current = watch.series[-1][1] if watch.series else {}
    for name in stack.workers:
        gauges = current.get(name)
        if gauges is None:
            shown.add_row(name, NO_ANSWER, style="dim")
            continue
        cells = [name, f"{gauges.running} / {gauges.slots}"]
        for datastore in datastores:
            granted = gauges.budget.get(datastore.name, 0)
            cells += [_states(gauges, datastore.name), f"{gauges.total(datastore.name)} / {granted}"]
        shown.add_row(*cells)
    shown.add_section()
    latest = stack.kernel.latest
    held = [
        Text("counted in the kernel, / limit", style="bold"),
        Text(str(sum(latest.slots.values())), style="bold"),
    ]
    for datastore in datastores:
        count = latest.connections[datastore.name]
        held += [
            Text(""),
            Text(f"{count} / {datastore.limit}", "bold red" if count > datastore.limit else "bold green"),
        ]
    shown.add_row(*held)
    return shown


def _states(gauges: Gauges, datastore: str) -> str:
    states = gauges.connections.get(datastore, {})
    return " · ".join(f"{states.get(state, 0):>2}" for state in STATES)


def line(stack: Stack, watch: Watch) -> str:
    """The same in one line, for a log."""
    current = watch.series[-1][1] if watch.series else {}
    workers = ", ".join(
        f"{name} {current[name].running}/{current[name].slots}" if name in current else f"{name} {NO_ANSWER}"
        for name in stack.workers
    )
    latest = stack.kernel.latest
    servers = ", ".join(
        f"{stack.solution.datastores[name].title} {latest.connections[name]}/{stack.solution.datastores[name].limit}"
        for name in (MONGODB, REDIS)
    )
    return f"jobs: {workers} | connections in the kernel / limit: {servers}"
