"""The solved budget as pictures: where a node's connections go, and how many calls each plan takes.

Needs matplotlib, which is in the dependency group `local`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from infra.budget.explore import PlanJobs
from infra.budget.solution import Datastore, Solution, grouped

INK, FAINT, LIMIT = "#1f2933", "#cbd2d9", "#c81e1e"
_COLOURS = {
    "jobs": "#0e7490",
    "workers": "#1d4ed8",
    "consumer": "#86198f",
    "peers": "#86198f",
    "provider": "#b7791f",
    "reserve": "#2f855a",
}
_STYLE: Any = {
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": FAINT,
    "xtick.color": INK,
    "ytick.color": INK,
}


def draw_waterfall(solution: Solution, path: Path) -> None:
    """One bar a row, each begun where the one before ended, against the limit; one panel a datastore."""
    stores = list(solution.datastores.values())
    rows = [len(store.rows) + 1 for store in stores]
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(9, 0.8 + 0.42 * sum(rows)), layout="constrained")
        panels = figure.subplots(len(stores), 1, height_ratios=rows, squeeze=False)[:, 0]
        for axes, store in zip(panels, stores, strict=True):
            _panel(axes, store)
        figure.savefig(path, dpi=120)


def _panel(axes: Axes, store: Datastore) -> None:
    names = [row.name for row in store.rows]
    for place, row in enumerate(store.rows):
        axes.barh(row.name, row.connections, left=row.start, color=_COLOURS[row.kind], height=0.6)
        label = f" {grouped(row.connections)}" + (f" = {row.formula}" if row.workers else "")
        axes.text(store.total, place, label, va="center", fontsize=8)
    axes.axvline(store.total, color=INK, linewidth=1)
    shown = store.total * 1.6
    if store.limit <= shown:
        axes.axvline(store.limit, color=LIMIT, linewidth=1, linestyle="--")
    source = {"plan": store.plan or "", "limit": "limit", "derived": "limit of our own server"}[
        store.limit_source
    ]
    axes.set_title(
        f"{store.title}, each node: {grouped(store.total)} of {grouped(store.limit)} ({source})",
        loc="left",
        fontsize=10,
    )
    axes.set_xlim(0, shown)
    axes.set_ylim(len(names) - 0.4, -0.6)
    _plain(axes)


def draw_jobs_by_plan(
    family: str, curves: Mapping[str, Sequence[PlanJobs]], jobs: int, slots: int, path: Path
) -> None:
    """Calls at once against the plans of one provider, from small to large, a curve a label."""
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(9, 4.5), layout="constrained")
        axes = figure.subplots()
        for label, plans in curves.items():
            some = [plan for plan in plans if plan.jobs]
            axes.plot([plan.plan for plan in some], [plan.jobs for plan in some], marker="o", label=label)
        axes.axhline(jobs, color=LIMIT, linewidth=1, linestyle="--", label=f"the promise: {grouped(jobs)}")
        axes.set_yscale("log")
        axes.set_ylabel("calls at once, at most")
        axes.set_title(f"Calls by plan: {family}, {slots} slots a worker", loc="left", fontsize=10)
        axes.tick_params(axis="x", rotation=30)
        axes.grid(axis="y", color=FAINT, linewidth=0.5)
        axes.legend(frameon=False, fontsize=8)
        _plain(axes)
        figure.savefig(path, dpi=120)


def _plain(axes: Axes) -> None:
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.tick_params(labelsize=8)
