"""The live table of `make up`: what every worker says, what the budget grants, what the kernel counts."""

from __future__ import annotations

from rich import box
from rich.table import Table
from rich.text import Text

from infra.local.gauges import STATES, Gauges
from infra.local.stack import Stack
from infra.local.watch import Watch

NO_ANSWER = "no answer"


def table(stack: Stack, watch: Watch) -> Table:
    """One row a worker by its gauges, and one for each server by the kernel."""
    shown = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    shown.add_column("\n", no_wrap=True)
    shown.add_column("jobs\nof slots", justify="right", no_wrap=True)
    for datastore in stack.datastores:
        for heading in (f"{datastore.title}\nin use", "\nidle", "\nmonitoring", "\nheld", "\nof budget"):
            shown.add_column(heading, justify="right", no_wrap=True)
    for name in sorted(stack.workers):
        gauges = _now(watch).get(name)
        if gauges is None:
            shown.add_row(name, NO_ANSWER, style="dim")
        else:
            shown.add_row(name, *_worker(stack, gauges))
    shown.add_section()
    shown.add_row(*_kernel(stack))
    return shown


def _worker(stack: Stack, gauges: Gauges) -> list[str]:
    cells = [f"{gauges.running} / {gauges.slots}"]
    for datastore in stack.datastores:
        states = gauges.connections.get(datastore.name, {})
        cells += [str(states.get(state, 0)) for state in STATES]
        cells += [str(gauges.total(datastore.name)), str(gauges.budget.get(datastore.name, "?"))]
    return cells


def _kernel(stack: Stack) -> list[Text]:
    latest = stack.kernel.latest
    cells = [Text("kernel", "bold"), Text(str(sum(latest.slots.values())), "bold")]
    for datastore in stack.datastores:
        held = latest.connections[datastore.name]
        style = "bold red" if held > datastore.limit else "bold green"
        cells += [Text(""), Text(""), Text(""), Text(str(held), style), Text(str(datastore.limit), "bold")]
    return cells


def line(stack: Stack, watch: Watch) -> str:
    """The same in one line, for a log."""
    current = _now(watch)
    workers = ", ".join(
        f"{name} {current[name].running}/{current[name].slots}" if name in current else f"{name} {NO_ANSWER}"
        for name in sorted(stack.workers)
    )
    held = stack.kernel.latest.connections
    servers = ", ".join(f"{d.title} {held[d.name]}/{d.limit}" for d in stack.datastores)
    return f"jobs: {workers} | connections in the kernel / limit: {servers}"


def _now(watch: Watch) -> dict[str, Gauges]:
    return watch.series[-1][1] if watch.series else {}
