"""What was seen, drawn over time, and as a table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib as mpl
from matplotlib.figure import Figure

from tests.cluster.counting import PORTS
from tests.model.trace import Phase

if TYPE_CHECKING:
    from tests.cluster.watching import Watch

PHASES: tuple[Phase, ...] = ("pending", "starting", "ready", "terminating")
LIMIT = "#c81e1e"


def draw(watch: Watch, path: Path) -> None:
    """Connections against the budget, pods by phase, calls."""
    trace = watch.trace
    with mpl.rc_context({"font.size": 9}):
        figure = Figure(figsize=(10, 8), dpi=120, layout="constrained")
        panels = figure.subplots(len(PORTS) + 2, 1, sharex=True)
        times = [one.at for one in trace.samples]
        for axes, name in zip(panels, PORTS, strict=False):
            axes.step(times, [one.connections[name] for one in trace.samples], where="post")
            axes.axhline(watch.budget(name), color=LIMIT, linestyle="--")
            seen = f"at most {watch.peak(name)} connections, budget {watch.budget(name)}"
            axes.set_title(f"{name}: {seen}", loc="left")
        counts: list[tuple[float, Counter[Phase]]] = list(trace.by_phase())
        series = [[count[phase] for _, count in counts] for phase in PHASES]
        panels[-2].stackplot([at for at, _ in counts], *series, step="post", labels=PHASES)
        panels[-2].axhline(watch.stack.solution.fleet.workers_at_peak, color=LIMIT, linestyle="--")
        panels[-2].legend(loc="upper left", fontsize=7)
        panels[-2].set_title(f"pods: at most {trace.peak}", loc="left")
        panels[-1].step([at for at, _ in watch.callers], [n for _, n in watch.callers], where="post")
        panels[-1].set_title("calls", loc="left")
        panels[-1].set_xlabel("seconds")
        for event in trace.marks:
            for axes in panels:
                axes.axvline(event.at, color="black", alpha=0.4)
        figure.suptitle(watch.name, x=0.01, ha="left")
        figure.savefig(path)


def table(watches: Sequence[Watch]) -> str:
    """Markdown: a row for each scenario."""
    rows = [
        "| scenario | seconds | pods, of the solved peak | MongoDB, of budget | Redis, of budget | calls | lost | |",
        "|---|--:|--:|--:|--:|--:|--:|---|",
    ]
    for watch in watches:
        cells = [
            watch.name,
            f"{watch.took_seconds:.0f}",
            f"{watch.trace.peak} of {watch.stack.solution.fleet.workers_at_peak}",
            *(f"{watch.peak(name)} of {watch.budget(name)}" for name in PORTS),
            f"{len(watch.results)}",
            f"{watch.lost}",
            "; ".join(watch.said),
        ]
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)
