"""Two solved budgets side by side, for people: a stack as it is and as it would be."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from infra.budget.solution import Solution, grouped
from infra.budget.suggestions import written
from infra.report.tables import duration, heading


def print_what_if(
    console: Console,
    overrides: Mapping[str, object],
    before: tuple[Solution, int | None],
    after: tuple[Solution, int | None],
) -> None:
    """What some changed keys change. Each solution comes with the most calls that would fit, None where all do."""
    changes = ", ".join(
        f"{key}: {written(value)}" if value is not None else f"no {key}" for key, value in overrides.items()
    )
    heading(console, f"What if {changes}")
    table = _table("as it is", "what if")
    for label, *cells in _facts(*before, *after):
        same = cells[0] == cells[1]
        table.add_row(label, cells[0], Text(cells[1], style="dim" if same else "bold"))
    console.print(Padding(table, (0, 0, 1, 2), expand=False))


def _facts(
    before: Solution, most_before: int | None, after: Solution, most_after: int | None
) -> Iterable[tuple[str, str, str]]:
    yield "calls at once", grouped(before.fleet.jobs), grouped(after.fleet.jobs)
    yield "most that fit", _most(most_before), _most(most_after)
    yield "workers at the peak", grouped(before.fleet.workers_at_peak), grouped(after.fleet.workers_at_peak)
    for name in dict.fromkeys((*before.datastores, *after.datastores)):
        title = next(one.datastores[name].title for one in (after, before) if name in one.datastores)
        yield f"{title}, a node", _sum(before, name), _sum(after, name)
    yield (
        "grace period",
        duration(before.time.termination_grace_period_seconds),
        duration(after.time.termination_grace_period_seconds),
    )
    yield "rollout at most", duration(before.time.rollout_seconds), duration(after.time.rollout_seconds)


def _most(jobs: int | None) -> str:
    return "any: both servers are our own" if jobs is None else grouped(jobs)


def _sum(solution: Solution, name: str) -> str:
    store = solution.datastores.get(name)
    if store is None:
        return "–"
    over = "" if store.fits else " (too many)"
    limit = "" if store.limit_source == "derived" else f" of {grouped(store.limit)}"
    return f"{grouped(store.total)}{limit}{over}"


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("")
    for column in columns:
        table.add_column(column, justify="right" if column else "left")
    return table
