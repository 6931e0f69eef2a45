"""A change of a running stack for people: both fleets at once on each datastore, then the steps."""

from __future__ import annotations

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from infra.budget.deployed import Deployed
from infra.budget.solution import MixedDatastore, Solution, grouped
from infra.budget.transition import Transition


def print_transition(console: Console, old_source: str, new_source: str, transition: Transition) -> None:
    """Prints the mixed fleet, the verdict, and the steps or the detour; readable without colour."""
    console.print(Text(f"From {old_source} to {new_source}", style="bold"))
    console.print(Text(f"  budget {transition.old[-1].digest} → {transition.new.digest}\n", style="dim"))
    old, new = transition.old[-1], transition.new
    for source, solution in ((old_source, old), (new_source, new)):
        if not solution.fits:
            console.print(Text(f"{source} does not fit by itself: {_too_many(solution)}", style="bold red"))
    for datastore in transition.mixed.datastores.values():
        _print_mixed(console, datastore)
    if transition.fits:
        _print_steps(console, transition)
    elif old.fits and new.fits:
        _print_refusal(console, transition)


def refusal(transition: Transition) -> str:
    """Why the two fleets cannot be there at once, and what can be done instead, as plain text."""
    over = [
        f"{d.title} by {grouped(d.total - d.limit_during)} connections ({grouped(d.total)} of "
        f"{grouped(d.limit_during)})"
        for d in transition.mixed.datastores.values()
        if not d.fits
    ]
    first = f"Old and new workers together do not fit: {', '.join(over)}."
    if transition.detour is None:
        return f"{first} No half-way config was found that does: end calls, scale to one worker, then change."
    fleet = transition.detour.fleet
    return (
        f"{first} Go half-way first: fleet.jobs: {fleet.jobs} with fleet.slots: {fleet.slots}, "
        f"mongodb.pool: {transition.detour.mongodb.pool}, redis.pool: {transition.detour.redis.pool}; "
        "both halves have been solved and fit."
    )


def _too_many(solution: Solution | Deployed) -> str:
    return ", ".join(
        f"{d.title} by {grouped(d.total - d.limit)} connections"
        for d in solution.datastores.values()
        if d.total > d.limit
    )


def _print_mixed(console: Console, datastore: MixedDatastore) -> None:
    if datastore.moves:
        console.print(
            Text(f"{datastore.title}: another server, which sees the new fleet alone\n", style="bold")
        )
        return
    console.print(Text(f"{datastore.title} while both fleets are there", style="bold"))
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column()
    table.add_column(justify="right", no_wrap=True)
    for row in datastore.rows:
        table.add_row(row.name, row.formula, f"= {grouped(row.connections)}")
    style = "bold" if datastore.fits else "bold red"
    table.add_row(Text("sum", style), "", Text(grouped(datastore.total), style))
    before, after = grouped(datastore.limit_before), grouped(datastore.limit_after)
    table.add_row("limit", f"before {before}, after {after}", grouped(datastore.limit_during))
    console.print(Padding(table, (0, 0, 1, 2), expand=False))


def _print_steps(console: Console, transition: Transition) -> None:
    console.print(Text("It fits. The steps:", style="bold green"))
    for number, step in enumerate(transition.steps, 1):
        console.print(Padding(Text(f"{number}. {step.title}"), (0, 0, 0, 2), expand=False))
        for effect in step.effects:
            console.print(Padding(Text(f"- {effect}"), (0, 0, 0, 5), expand=False))


def _print_refusal(console: Console, transition: Transition) -> None:
    console.print(Text(refusal(transition), style="bold red"))
