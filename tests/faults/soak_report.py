"""What one soak saw: a line per quiet point while it runs, then Markdown, JSON and a picture."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import MaxNLocator

from infra.local.demo.picture import BUDGET, DATASTORE_COLOURS, FAINT, INK, WORKER_COLOURS
from tests.faults.soak_quiet import Quiet
from tests.faults.soak_verdict import Soak, Trend, after_warm_up, trends

HEADINGS = (
    "   jobs   time  completed  failed  killed  quiet after"
    "   MongoDB kernel/gauges/peak   Redis kernel/gauges/peak"
)
TITLES = {"mongodb": "MongoDB", "redis": "Redis"}


def line(point: Quiet) -> str:
    """Under `HEADINGS`."""
    totals = point.totals
    quiet = "never" if point.settled_seconds is None else f"{point.settled_seconds:.1f} s"
    stores = "".join(
        f"{f'{point.kernel[name]} / {point.gauges[name]} / {point.peak_since[name]}':>{width}}"
        for name, width in (("mongodb", 29), ("redis", 27))
    )
    return (
        f"{point.jobs:7d} {point.at:4.0f} s {totals.completed:10d} {totals.failed:7d} {totals.killed:7d} "
        f"{quiet:>12}{stores}"
    )


def write(soak: Soak, broken: list[str], output: Path, docs: Path | None) -> None:
    """`soak.md`, `soak.json` and `soak.png` into `output`; Markdown and picture to `docs`, too."""
    pages = [output / "soak.md", *([docs] if docs else [])]
    for page in pages:
        picture = page.with_suffix(".png")
        draw(soak, picture)
        page.write_text(
            f"{markdown(soak, broken)}\n![What is there when no job runs, over jobs]({picture.name})\n"
        )
    content = {"broken_invariants": broken, **dataclasses.asdict(soak)}
    (output / "soak.json").write_text(json.dumps(content, indent=2) + "\n")


def markdown(soak: Soak, broken: list[str]) -> str:
    warm, last = after_warm_up(soak.points), soak.points[-1]
    totals = last.totals
    done = (
        f"{last.jobs} of {soak.jobs_wanted} jobs: the {soak.minutes} minutes were over"
        if soak.timed_out and last.jobs < soak.jobs_wanted
        else f"{last.jobs} jobs"
    )
    lines = [
        "# Soak",
        "",
        "Written by `make soak`; not to be edited.",
        "",
        f"{soak.date}, {soak.machine}. {soak.remark}".strip(),
        "",
        f"**{done}** on {soak.workers} workers × {soak.slots} slots in {last.at / 60:.1f} minutes "
        f"({last.jobs / max(soak.load_seconds, 1):.1f} jobs a second under load), "
        f"{soak.kill_share:.0%} to be killed; seed {soak.seed}. "
        + ("**Broken invariants:**" if broken else "**No invariant was broken.**"),
        "",
        *(f"- {sentence}" for sentence in broken),
        *([""] if broken else []),
        "| jobs | | |",
        "|---|---:|---|",
        f"| accepted | {totals.accepted} | of {last.placed} placed; the others met full workers |",
        f"| completed | {totals.completed} | |",
        f"| failed | {totals.failed} | {last.asked_to_fail} were asked to; some of those were killed or refused |",
        f"| killed | {totals.killed} | {last.kills} SIGKILLs; the rest came after the job had been counted |",
        f"| calls that went on | {sum(soak.calls_went_on.values())} | {_calls(soak)} |",
        f"| calls ended by it | {len(soak.calls_ended)} | |",
        f"| not accounted for | {totals.accepted - totals.ended} | accepted − completed − failed − killed |",
        "",
        "| connections | budget | peak | quiet: kernel | quiet: gauges | workers' own share | after their end |",
        "|---|---:|---:|---:|---:|---:|---:|",
        *(
            f"| {title} | {soak.budget[name]} | {last.peak[name]} | {_span(p.kernel[name] for p in soak.points)} "
            f"| {_span(p.gauges[name] for p in soak.points)} | {last.share[name]} | {soak.left[name]} |"
            for name, title in TITLES.items()
        ),
        "",
        _quiet_points(soak),
        "",
        f"| | after {warm.jobs} jobs | after {last.jobs} jobs | ratio | accepted |",
        "|---|---:|---:|---:|---:|",
        *(_row(trend) for trend in trends(soak.points)),
        "",
    ]
    return "\n".join(lines)


def _calls(soak: Soak) -> str:
    after = [f"{number} after {event}" for event, number in sorted(soak.calls_went_on.items())]
    never = f"{soak.calls_never_heard} met full workers, or a job that was killed before anything happened"
    return "; ".join([*after, never])


def _quiet_points(soak: Soak) -> str:
    points = soak.points
    return (
        f"At {len(points)} quiet points: slots locked {_span(p.slots for p in points)}, jobs running by gauge "
        f"{_span(p.running for p in points)}, zombies {_span(p.zombies for p in points)}; quiet after "
        f"{_span(p.settled_seconds for p in points[1:])} s. At most {points[-1].peak_slots} jobs at once on a worker. "
        f"Scrapes under load that were not answered: {soak.unanswered_scrapes}. "
        f"A scrape is measured against a fixed computation in between, the yardstick: {_yardstick(soak)} ms."
    )


def _row(trend: Trend) -> str:
    unit = f", {trend.unit}" if trend.unit else ""
    return (
        f"| {trend.whose}: {trend.what}{unit} | {trend.first:g} | {trend.last:g} | {trend.ratio:.2f} "
        f"| <= {trend.limit:g} |"
    )


def _yardstick(soak: Soak) -> str:
    return _span(point.yardstick_ms for point in soak.points)


def _span(values: Iterable[float | None]) -> str:
    """`4` when all are 4, else `4–6`; `never` counts as the worst."""
    known = [value for value in values if value is not None]
    if not known:
        return "never"
    least, most = min(known), max(known)
    return f"{least:g}" if least == most else f"{least:g}–{most:g}"


def draw(soak: Soak, path: Path) -> None:
    """Write a PNG: what was there at each quiet point, over the jobs done by then."""
    with mpl.rc_context({"font.size": 9, "text.color": INK, "axes.labelcolor": INK, "axes.edgecolor": FAINT}):
        figure = Figure(figsize=(12, 8.4), dpi=150, layout=ConstrainedLayoutEngine(h_pad=0.12, w_pad=0.12))
        panels = [axes for row in figure.subplots(3, 2, sharex=True) for axes in row]
        jobs = [point.jobs for point in soak.points]
        for axes, (name, title) in zip(panels, TITLES.items(), strict=False):
            _connections(axes, soak, jobs, name, title)
        for axes, (title, field) in zip(
            panels[2:],
            (
                ("Open descriptors", "descriptors"),
                ("Files in the metrics directory", "files"),
                ("Processes and zombies of a worker", "processes"),
                ("Duration of a scrape, in yardsticks", "scrape"),
            ),
            strict=True,
        ):
            _by_process(axes, soak, jobs, title, field)
        for axes in panels[-2:]:
            axes.set_xlabel("jobs done")
        last = soak.points[-1]
        figure.suptitle(
            f"{last.jobs} jobs, {last.totals.killed} killed: what is there when none runs",
            x=0.012,
            ha="left",
            fontsize=13,
            fontweight="bold",
        )
        figure.savefig(path)


def _connections(axes: Axes, soak: Soak, jobs: list[int], name: str, title: str) -> None:
    colour, points = dict(zip(soak.budget, DATASTORE_COLOURS, strict=False))[name], soak.points
    budget = soak.budget[name]
    axes.axhline(budget, color=BUDGET, linewidth=1.4, linestyle="--", label=f"budget: {budget}")
    axes.plot(jobs, [p.peak_since[name] for p in points], color=colour, label="peak under load, kernel")
    axes.plot(jobs, [p.kernel[name] for p in points], color=colour, linestyle=":", label="quiet, kernel")
    axes.plot(
        jobs,
        [p.gauges[name] for p in points],
        linestyle="none",
        marker="o",
        markersize=3.5,
        markerfacecolor="white",
        markeredgecolor=colour,
        label="quiet, gauges",
    )
    _tidy(axes, f"{title}: connections", budget)


def _by_process(axes: Axes, soak: Soak, jobs: list[int], title: str, field: str) -> None:
    most = 0.0
    for number, name in enumerate(getattr(soak.points[0], field)):
        values = [getattr(point, field)[name] for point in soak.points]
        most = max(most, *values)
        colours = (*WORKER_COLOURS[::2], *DATASTORE_COLOURS[:5], FAINT)
        axes.plot(jobs, values, color=colours[number % len(colours)], marker=".", label=name)
    _tidy(axes, title, most)


def _tidy(axes: Axes, title: str, top: float) -> None:
    axes.set_title(title, loc="left", pad=7)
    axes.set_ylim(0, top * 1.12)
    axes.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
    axes.grid(axis="y", color=FAINT, alpha=0.25, linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.03), frameon=False, fontsize=8)
