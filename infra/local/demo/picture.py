"""The picture of a demo: connections over time against the budget, and jobs against slots."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from infra.local.demo.orchestration import Seen
from infra.local.demo.report import DatastoreSeen, Event

INK, FAINT, BUDGET, GRANTED = "#1f2933", "#9aa5b1", "#c81e1e", "#6b7280"
DATASTORE_COLOURS = {"mongodb": "#2f855a", "redis": "#b7791f"}
WORKER_COLOURS = ("#2b6cb0", "#63b3ed", "#2c5282", "#90cdf4")


def draw(seen: Seen, path: Path) -> None:
    """Write a PNG, 1650 × 1350 pixels."""
    with mpl.rc_context(
        {"font.size": 10, "text.color": INK, "axes.labelcolor": INK, "axes.edgecolor": FAINT}
    ):
        # A Figure of its own, without pyplot: no window system is asked for, and nothing global is kept.
        figure = Figure(figsize=(11, 9), dpi=150, layout="constrained")
        panels = figure.subplots(len(seen.report.datastores) + 1, 1, sharex=True)
        for axes, datastore in zip(panels, seen.report.datastores.values(), strict=False):
            _connections(axes, seen, datastore)
        _jobs(panels[-1], seen)
        _events(list(panels), seen.report.events)
        panels[-1].set_xlabel("seconds since the servers were up")
        fleet = seen.report.fleet
        figure.suptitle(
            f"{len(seen.report.calls)} calls on {fleet.workers} workers with {fleet.slots} slots each: "
            "what was held, and what was granted",
            x=0.01,
            ha="left",
            fontsize=13,
            fontweight="bold",
        )
        figure.savefig(path)


def _connections(axes: Axes, seen: Seen, datastore: DatastoreSeen) -> None:
    start = seen.samples[0].at
    times = [sample.at - start for sample in seen.samples]
    held = [sample.connections[datastore.name] for sample in seen.samples]
    colour = DATASTORE_COLOURS[datastore.name]
    axes.fill_between(times, held, step="post", color=colour, alpha=0.25, linewidth=0)
    axes.step(times, held, where="post", color=colour, linewidth=1.6, label="open, counted in the kernel")
    looks = [(at - start, gauges) for at, gauges in seen.gauges.series if gauges]
    axes.plot(
        [at for at, _ in looks],
        [sum(g.total(datastore.name) for g in gauges.values()) for _, gauges in looks],
        linestyle="none",
        marker="o",
        markersize=3,
        markerfacecolor="white",
        markeredgecolor=colour,
        label="open, by the workers' gauges",
    )
    axes.step(
        [at for at, _ in looks],
        [sum(g.budget.get(datastore.name, 0) for g in gauges.values()) for _, gauges in looks],
        where="post",
        color=GRANTED,
        linewidth=1.2,
        linestyle=":",
        label="granted to the workers that are up",
    )
    _budget(axes, datastore.budget, "budget")
    axes.set_title(f"{datastore.title} connections: peak {datastore.peak} of {datastore.budget}", loc="left")
    _tidy(axes, datastore.budget)


def _jobs(axes: Axes, seen: Seen) -> None:
    start = seen.samples[0].at
    times = [sample.at - start for sample in seen.samples]
    fleet = seen.report.fleet
    workers = list(fleet.peak_jobs_by_worker)
    axes.stackplot(
        times,
        *([sample.slots.get(worker, 0) for sample in seen.samples] for worker in workers),
        step="post",
        labels=[f"jobs on {worker}" for worker in workers],
        colors=[WORKER_COLOURS[number % len(WORKER_COLOURS)] for number in range(len(workers))],
        alpha=0.75,
        linewidth=0,
    )
    looks = [(at - start, gauges) for at, gauges in seen.gauges.series if gauges]
    axes.step(
        [at for at, _ in looks],
        [sum(g.slots for g in gauges.values()) for _, gauges in looks],
        where="post",
        color=GRANTED,
        linewidth=1.2,
        linestyle=":",
        label="slots of the workers that are up",
    )
    _budget(axes, fleet.jobs_at_peak, "budget, all workers it counted at once")
    axes.set_title(
        f"Jobs: at most {max(fleet.peak_jobs_by_worker.values())} of {fleet.slots} on a worker", loc="left"
    )
    _tidy(axes, fleet.jobs_at_peak)


def _budget(axes: Axes, value: int, label: str) -> None:
    axes.axhline(value, color=BUDGET, linewidth=1.4, linestyle="--", label=f"{label}: {value}")


def _tidy(axes: Axes, top: int) -> None:
    axes.set_ylim(0, top * 1.15)
    axes.margins(x=0.01)
    axes.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
    axes.grid(axis="y", color=FAINT, alpha=0.25, linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False, fontsize=9)


def _events(panels: list[Axes], events: list[Event]) -> None:
    for number, event in enumerate(events, 1):
        for axes in panels:
            axes.axvline(event.at, color=INK, linewidth=0.8, alpha=0.45)
        panels[0].annotate(
            str(number),
            (event.at, 1.0),
            xycoords=("data", "axes fraction"),
            ha="center",
            va="bottom",
            fontsize=8,
            color="white",
            bbox={"boxstyle": "circle,pad=0.2", "facecolor": INK, "edgecolor": "none"},
            annotation_clip=False,
        )
    legend = "\n".join(f"{number}  {event.at:4.0f} s  {event.what}" for number, event in enumerate(events, 1))
    panels[-1].annotate(
        legend,
        (1.02, 0.0),
        xycoords="axes fraction",
        ha="left",
        va="bottom",
        fontsize=8.5,
        annotation_clip=False,
    )
