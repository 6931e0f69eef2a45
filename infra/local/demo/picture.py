"""The picture of a demo: connections over time against the budget, and jobs against slots."""

from __future__ import annotations

from itertools import cycle
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import MaxNLocator

from infra.local.caller import Outcome
from infra.local.demo.report import DatastoreSeen, Event, Report

INK, FAINT, BUDGET, GRANTED = "#1f2933", "#9aa5b1", "#c81e1e", "#6b7280"
# In the report's order: MongoDB, Redis, and those beyond.
DATASTORE_COLOURS = ("#2f855a", "#b7791f", "#2b6cb0", "#805ad5", "#38a3a5", "#c05621")
WORKER_COLOURS = ("#2b6cb0", "#63b3ed", "#805ad5", "#38a3a5")
# Of the width of the time axis: nearer marks than this would cover each other and are set one above the other.
NEAR = 0.022
# Of quiet before the first call.
LEAD_SECONDS = 4.0


def draw(report: Report, path: Path) -> None:
    """Write a PNG, 1800 × 1350 pixels."""
    with mpl.rc_context(
        {"font.size": 10, "text.color": INK, "axes.labelcolor": INK, "axes.edgecolor": FAINT}
    ):
        # A Figure of its own, without pyplot: no window system is asked for, and nothing global is kept.
        figure = Figure(figsize=(12, 9), dpi=150, layout=ConstrainedLayoutEngine(h_pad=0.12, w_pad=0.1))
        panels = figure.subplots(len(report.datastores) + 1, 1, sharex=True)
        colours = cycle(DATASTORE_COLOURS)
        for axes, datastore, colour in zip(panels, report.datastores.values(), colours, strict=False):
            _connections(axes, report, datastore, colour)
        _jobs(panels[-1], report)
        _events(list(panels), report)
        panels[-1].set_xlabel("seconds since the servers were up")
        panels[-1].set_xlim(max(0, report.events[0].at - LEAD_SECONDS), report.counted[-1].at)
        figure.suptitle(_headline(report), x=0.012, ha="left", fontsize=13, fontweight="bold")
        figure.savefig(path)


def _headline(report: Report) -> str:
    fleet = report.fleet
    return (
        f"{report.count(Outcome.ANSWERED)} calls answered on {fleet.workers} workers × {fleet.slots} slots, "
        f"{report.count(Outcome.LOST)} lost; "
        f"{sum(seen.left for seen in report.datastores.values())} connections left at the end"
    )


def _connections(axes: Axes, report: Report, seen: DatastoreSeen, colour: str) -> None:
    times = [moment.at for moment in report.counted]
    held = [moment.connections[seen.name] for moment in report.counted]
    axes.axhspan(seen.budget, seen.limit, color=FAINT, alpha=0.15, linewidth=0, label="reserve for operators")
    _budget(axes, seen.budget)
    told = [look.at for look in report.told]
    _granted(
        axes, told, [look.granted[seen.name] for look in report.told], "granted to the workers that are up"
    )
    axes.fill_between(times, held, step="post", color=colour, alpha=0.25, linewidth=0)
    axes.step(times, held, where="post", color=colour, linewidth=1.6, label="open, counted in the kernel")
    axes.plot(
        told,
        [look.connections[seen.name] for look in report.told],
        linestyle="none",
        marker="o",
        markersize=3.2,
        markerfacecolor="white",
        markeredgecolor=colour,
        label="open, by the workers' gauges",
    )
    axes.set_title(f"{seen.title}: at most {seen.peak} connections, budget {seen.budget}", loc="left", pad=9)
    _tidy(axes, seen.limit)


def _jobs(axes: Axes, report: Report) -> None:
    fleet = report.fleet
    workers = sorted(fleet.peak_jobs_by_worker)
    _budget(axes, fleet.jobs_at_peak)
    times = [look.at for look in report.told]
    _granted(axes, times, [look.slots for look in report.told], "slots of the workers that are up")
    axes.stackplot(
        [moment.at for moment in report.counted],
        *([moment.jobs.get(worker, 0) for moment in report.counted] for worker in workers),
        step="post",
        labels=[f"jobs on {worker}, by locks in the kernel" for worker in workers],
        colors=[WORKER_COLOURS[number % len(WORKER_COLOURS)] for number in range(len(workers))],
        alpha=0.8,
        linewidth=0,
    )
    most = max(fleet.peak_jobs_by_worker.values())
    title = f"Jobs: at most {most} on a worker of {fleet.slots} slots, {fleet.peak_jobs} in all"
    axes.set_title(title, loc="left", pad=9)
    _tidy(axes, fleet.jobs_at_peak)


def _budget(axes: Axes, value: int) -> None:
    axes.axhline(value, color=BUDGET, linewidth=1.4, linestyle="--", label=f"budget: {value}")


def _granted(axes: Axes, times: list[float], values: list[int], label: str) -> None:
    axes.step(times, values, where="post", color=GRANTED, linewidth=1.3, linestyle=":", label=label)


def _tidy(axes: Axes, top: int) -> None:
    axes.set_ylim(0, top * 1.08)
    axes.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
    axes.grid(axis="y", color=FAINT, alpha=0.25, linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.03), frameon=False, fontsize=9)


def _events(panels: list[Axes], report: Report) -> None:
    span = report.counted[-1].at - report.events[0].at
    height, before = 0, -span
    for number, event in enumerate(report.events, 1):
        height = height + 1 if event.at - before < NEAR * span else 0
        before = event.at
        for axes in panels:
            axes.axvline(event.at, color=INK, linewidth=0.8, alpha=0.4)
            _mark(axes, event, number, height)
    key = "\n".join(
        f"{number}  {event.at:3.0f} s  {event.what}" for number, event in enumerate(report.events, 1)
    )
    panels[-1].annotate(
        key,
        (1.02, 0.0),
        xycoords="axes fraction",
        ha="left",
        va="bottom",
        fontsize=9,
        linespacing=1.5,
        annotation_clip=False,
    )


def _mark(axes: Axes, event: Event, number: int, height: int) -> None:
    axes.annotate(
        str(number),
        (event.at, 1.0),
        xytext=(0, -7 - 13 * height),
        textcoords="offset points",
        xycoords=("data", "axes fraction"),
        ha="center",
        va="center",
        fontsize=7.5,
        color="white",
        bbox={"boxstyle": "circle,pad=0.25", "facecolor": INK, "edgecolor": "none"},
    )
