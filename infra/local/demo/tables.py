"""The report for people at a terminal."""

from __future__ import annotations

from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from infra.local.caller import Outcome
from infra.local.demo.report import DatastoreSeen, FleetSeen, Report


def show(console: Console, report: Report, broken: list[str], files: dict[str, Path]) -> None:
    """Print it, the verdict last."""
    console.print()
    for table in (
        _calls(report),
        _connections(report),
        _fleet(report.fleet),
        _opening(report),
        _trouble(report),
        _left(report),
    ):
        console.print(table)
        console.print()
    console.print(
        Text("Opening times come from the workers' histograms, interpolated within buckets.", style="dim")
    )
    console.print()
    for what, path in files.items():
        console.print(Text(f"{what + ':':<9}{path}"), soft_wrap=True)
    console.print()
    if broken:
        console.print(Text(f"Broken: {len(broken)} invariant{'s' * (len(broken) > 1)}", style="bold red"))
        for sentence in broken:
            console.print(Text(f"  ✗ {sentence}", style="red"))
    else:
        console.print(Text(f"All invariants held, in {report.seconds:.0f} s.", style="bold green"))


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column(columns[0])
    for column in columns[1:]:
        table.add_column(column, justify="right")
    return table


def _calls(report: Report) -> Table:
    table = _table("Calls", "", "calls", "")
    for outcome in Outcome:
        again = sum(1 for call in report.calls if call.again and call.outcome is outcome)
        table.add_row(outcome, _count(report.count(outcome), bad=outcome is Outcome.LOST), _again(again))
    waits = sorted(call.waited_seconds for call in report.waited)
    longest = f"longest {waits[-1]:.1f} s" if waits else ""
    table.add_row("had to wait for a slot first", str(len(waits)), longest)
    answered = report.count(Outcome.ANSWERED)
    stored = Text(
        f"{report.transcripts_stored} of {answered}", style="red" if report.transcripts_missing else ""
    )
    table.add_row("transcripts in MongoDB", stored, "")
    return table


def _again(count: int) -> str:
    return f"{count} of them a second try after the kill" if count else ""


def _count(count: int, *, bad: bool) -> Text:
    return Text(str(count), style="bold red" if bad and count else "")


def _connections(report: Report) -> Table:
    title = "Connections at once, counted in the kernel at the server's end"
    table = _table(title, "", "peak", "budget", "", "with the operators' reserve", "enforced by the server")
    for seen in report.datastores.values():
        over = seen.peak > seen.budget
        table.add_row(
            seen.title,
            Text(str(seen.peak), style="bold red" if over else "bold"),
            str(seen.budget),
            _bar(seen),
            str(seen.limit),
            "yes" if seen.limit_enforced else "no (see below)",
        )
    return table


def _opening(report: Report) -> Table:
    table = _table(
        "A job's start, and its operations", "", "opened", "p50", "p99", "wait for a connection, p99"
    )
    for seen in report.datastores.values():
        table.add_row(
            seen.title,
            f"{seen.durations.opened} times",
            _milliseconds(seen.durations.open_p50),
            _milliseconds(seen.durations.open_p99),
            _milliseconds(seen.durations.checkout_p99),
        )
    return table


def _bar(seen: DatastoreSeen, width: int = 20) -> Text:
    filled = min(width, round(width * seen.peak / seen.budget))
    style = "red" if seen.peak > seen.budget else "green"
    return Text("█" * filled, style) + Text("░" * (width - filled), "dim")


def _milliseconds(seconds: float | None) -> str:
    return "–" if seconds is None else f"{seconds * 1000:.1f} ms"


def _fleet(fleet: FleetSeen) -> Table:
    table = _table("Fleet", "", "peak", "granted")
    for worker, jobs in fleet.peak_jobs_by_worker.items():
        table.add_row(f"jobs at once on {worker}", _count(jobs, bad=jobs > fleet.slots), str(fleet.slots))
    in_all = _count(fleet.peak_jobs, bad=fleet.peak_jobs > fleet.jobs_at_peak)
    table.add_row("jobs at once in all", in_all, str(fleet.jobs_at_peak))
    at_once = _count(fleet.peak_workers, bad=fleet.peak_workers > fleet.workers_at_peak)
    table.add_row("workers at once (rollover)", at_once, str(fleet.workers_at_peak))
    return table


def _trouble(report: Report) -> Table:
    table = _table("Trouble made on purpose", "", "")
    if kill := report.kill:
        seconds = "never" if kill.gauge_seconds is None else f"after {kill.gauge_seconds:.1f} s"
        table.add_row(
            f"SIGKILL to the job of {kill.room} on {kill.worker}", f"counted by its gauges {seconds}"
        )
    roll = report.rollover
    table.add_row(
        f"{roll.old} replaced by {roll.new}",
        f"drained with {roll.jobs_at_sigterm} running jobs in {roll.drain_seconds:.1f} s, "
        f"exit status {roll.exit_status}",
    )
    return table


def _left(report: Report) -> Table:
    left = report.leftovers
    table = _table("Left over", "", "seen", "allowed")
    table.add_row("jobs by gauge, after the last call", _count(sum(left.running.values()), bad=True), "0")
    for seen in report.datastores.values():
        gauges = sum(seen.idle_gauges.values())
        own = f"each worker's own {seen.per_worker}"
        agree = Text(
            f"{gauges} by gauge, {seen.idle_kernel} in kernel", "red" if gauges != seen.idle_kernel else ""
        )
        table.add_row(f"{seen.title} connections, after the last call", agree, own)
    table.add_row("slot locks, after the last worker", _count(sum(left.slots.values()), bad=True), "0")
    connections = sum(seen.left for seen in report.datastores.values())
    table.add_row("connections, after the last worker", _count(connections, bad=True), "0")
    table.add_row("processes, after the last worker", _count(len(left.processes), bad=True), "0")
    return table
