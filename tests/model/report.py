"""What ten thousand fleets showed: figures for a page, and a picture."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

import matplotlib as mpl
from matplotlib.figure import Figure

from infra.budget.solution import grouped
from infra.local.demo.picture import BUDGET, DATASTORE_COLOURS, FAINT, INK
from tests.model.run import Outcome

BEGIN, END = "<!-- written by: make bench -->\n", "<!-- end -->\n"


def write(outcomes: Sequence[Outcome], seconds: float, page: Path) -> None:
    """Into `page`, between its two marks where it has them, and a picture beside it."""
    picture = page.parent / "shares.png"
    _draw(outcomes, picture)
    text = page.read_text(encoding="utf-8") if page.exists() else ""
    before, _, rest = text.partition(BEGIN)
    after = rest.partition(END)[2]
    page.write_text(
        before + BEGIN + _markdown(outcomes, seconds, picture.name) + END + after, encoding="utf-8"
    )


def _markdown(outcomes: Sequence[Outcome], seconds: float, picture: str) -> str:
    above = sum(bool(outcome.above) for outcome in outcomes)
    loose = sum(bool(outcome.loose) for outcome in outcomes)
    cut = sum(outcome.cut_short for outcome in outcomes)
    machine = f"{os.cpu_count()} cores, Python {platform.python_version()}"
    what = (
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, seeds {outcomes[0].seed} to {outcomes[-1].seed}, "
        f"{seconds / 60:.0f} minutes on {machine}: {grouped(sum(one.connections for one in outcomes))} "
        f"connections opened and counted. **{above}** stacks with a node above what was solved, **{loose}** in "
        f"which the worst schedule did not reach it, **{cut}** calls cut short by a drain."
    )
    lines = [
        what,
        "",
        "| rolling | stacks | above | not reached | a pod had to wait | random schedule's peak, of the solved |",
        "|---|--:|--:|--:|--:|---|",
    ]
    for mode in ("fast", "strict"):
        some = [outcome for outcome in outcomes if outcome.mode == mode]
        if not some:
            continue
        shares = sorted(share(outcome) for outcome in some)
        lines.append(
            f"| {mode} | {grouped(len(some))} | {sum(bool(one.above) for one in some)} "
            f"| {sum(bool(one.loose) for one in some)} | {sum(one.refused > 0 for one in some)} "
            f"| median {median(shares):.0%}, most {shares[-1]:.0%} |"
        )
    lines += ["", f"![How near random schedules come to the solved peak]({picture})"]
    return "\n".join(lines) + "\n"


def share(outcome: Outcome) -> float:
    """The highest node of the random schedule, of what was solved for it."""
    return max(max(outcome.seen[name]) / total for name, total in outcome.solved.items())


def _draw(outcomes: Sequence[Outcome], path: Path) -> None:
    with mpl.rc_context({"text.color": INK, "axes.labelcolor": INK, "xtick.color": INK, "ytick.color": INK}):
        figure = Figure(figsize=(8, 3), layout="constrained")
        axes = figure.add_subplot()
        bins = [step / 50 for step in range(56)]
        for mode, colour in zip(("fast", "strict"), DATASTORE_COLOURS, strict=False):
            shares = [share(outcome) for outcome in outcomes if outcome.mode == mode]
            axes.hist(shares, bins=bins, color=colour, alpha=0.6, label=f"{mode} rolling, random schedules")
        axes.axvline(1, color=BUDGET, label="solved = worst schedule, every stack")
        axes.set_xlabel("highest node's connections, of the solved peak")
        axes.set_ylabel("stacks")
        axes.set_xlim(0, 1.08)
        axes.grid(color=FAINT, linewidth=0.5)
        axes.set_axisbelow(True)
        axes.legend(frameon=False, loc="upper left")
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
        figure.savefig(path, dpi=110)
