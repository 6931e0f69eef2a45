"""The soak's verdict: one sentence with figures for each broken invariant; and the trends it is drawn from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tests.faults.soak_quiet import QUIET_SECONDS, Quiet

# The last quiet point against the first one after the warm-up (issue 4, point 5).
GROWTH = 1.2
# Where small numbers would otherwise pass the ratio: a keep-alive connection or a file of SQLite's pool more or less is
# no leak.
SLACK = {"descriptors": 6}


@dataclass(frozen=True)
class Soak:
    """One soak, as plain data: the source of the verdict, the table, the JSON and the picture."""

    name: str
    date: str
    machine: str
    remark: str
    """What else the machine was doing."""
    seed: int
    jobs_wanted: int
    kill_share: float
    minutes: int
    timed_out: bool
    """The time was over before `jobs_wanted` were done, which is said, but breaks nothing."""
    workers: int
    slots: int
    """Of one worker."""
    budget: dict[str, int]
    """Datastore → connections granted to all workers together."""
    points: list[Quiet]
    """The first is before any job, the second after the warm-up."""
    calls_went_on: dict[str, int]
    """What happened to their caller → calls that went on after it."""
    calls_ended: list[str]
    """Those that did not, though nobody had killed their job."""
    calls_never_heard: int
    """Placed, but without a job when something was to happen."""
    load_seconds: float
    """Of it, time in which jobs were placed; the rest went into quiet points."""
    unanswered_scrapes: int
    left: dict[str, int]
    """Datastore → connections in the kernel after all workers are gone."""
    exit_statuses: dict[str, int]
    left_behind: list[str]
    """Processes that outlived their worker."""


@dataclass(frozen=True)
class Trend:
    """One quantity of one process: just after the warm-up, at the end, and the most that the end may be."""

    what: str
    unit: str
    whose: str
    first: float
    last: float
    limit: float

    @property
    def ratio(self) -> float:
        return self.last / self.first if self.first else float(self.last > 0)

    @property
    def grew(self) -> bool:
        return self.last > self.limit


def after_warm_up(points: list[Quiet]) -> Quiet:
    """The second quiet point; the first is before any job."""
    return points[min(1, len(points) - 1)]


def trends(points: list[Quiet]) -> list[Trend]:
    """From the quiet point after the warm-up to the last one."""
    first, last = after_warm_up(points), points[-1]
    return [
        Trend(what, unit, whose, value, getattr(last, field)[whose], _limit(what, value))
        for what, unit, field in (
            ("descriptors", "", "descriptors"),
            ("processes", "", "processes"),
            ("metrics files", "", "files"),
            ("metrics size", "KiB", "kibibytes"),
            ("a scrape", "yardsticks", "scrape"),
            ("memory", "MiB", "rss_mib"),
        )
        for whose, value in getattr(first, field).items()
    ]


def _limit(what: str, first: float) -> float:
    if what == "processes":
        return first
    return max(first * GROWTH, first + SLACK.get(what, 0))


def broken(soak: Soak) -> list[str]:
    """What did not hold; empty when all did."""
    points, last = soak.points, soak.points[-1]
    return [
        *(sentence for number, point in enumerate(points) for sentence in _quiet(point, number)),
        *_budget(last, soak.budget, soak.slots),
        *_accounts(last, soak.jobs_wanted, timed_out=soak.timed_out),
        *(f"a call ended by what its caller outlived: {call}" for call in soak.calls_ended),
        *([] if soak.calls_went_on else ["no call went on after a reload or a loss: none was heard"]),
        *(
            f"{trend.whose}: {trend.what} grew from {trend.first:g} to {trend.last:g}, at most {trend.limit:g} accepted"
            for trend in trends(points)
            if trend.grew
        ),
        *_end(soak),
    ]


def _quiet(point: Quiet, number: int) -> Iterator[str]:
    where = f"quiet point {number} after {point.jobs} jobs"
    if point.settled_seconds is None:
        yield f"{where}: jobs, slots, gauges, connections and processes did not come to rest within {QUIET_SECONDS:g} s"
    if point.slots:
        yield f"{where}: {point.slots} slots still locked, expected 0"
    if point.running:
        yield f"{where}: agent_jobs_running {point.running}, expected 0"
    if point.zombies:
        yield f"{where}: {point.zombies} zombies, expected 0"
    for name, held in point.kernel.items():
        if held != point.gauges[name]:
            yield f"{where}: {name}: gauges report {point.gauges[name]} connections, the kernel counts {held}"
        if held > point.share[name]:
            yield f"{where}: {name}: {held} connections, above the workers' own share of {point.share[name]}"
    if point.totals.ended != point.totals.accepted:
        yield (
            f"{where}: {point.totals.completed} completed + {point.totals.failed} failed + "
            f"{point.totals.killed} killed = {point.totals.ended}, but {point.totals.accepted} were accepted"
        )


def _budget(last: Quiet, budget: dict[str, int], slots: int) -> Iterator[str]:
    for name, granted in budget.items():
        if last.peak[name] > granted:
            yield f"{name}: {last.peak[name]} connections in the kernel, above the budget of {granted}"
    if last.peak_slots > slots:
        yield f"jobs at once on one worker: {last.peak_slots}, above its {slots} slots"


def _accounts(last: Quiet, jobs_wanted: int, *, timed_out: bool) -> Iterator[str]:
    if last.totals.failed > last.asked_to_fail:
        yield f"jobs failed: {last.totals.failed}, but only {last.asked_to_fail} were asked to"
    if last.totals.killed > last.kills:
        yield f"jobs counted as killed: {last.totals.killed}, but only {last.kills} were"
    if last.jobs < jobs_wanted and not timed_out:
        yield f"jobs accepted: {last.jobs} of {jobs_wanted}: no worker took another for a minute"


def _end(soak: Soak) -> Iterator[str]:
    for name, connections in soak.left.items():
        if connections:
            yield f"{name}: {connections} connections in the kernel after all workers are gone, expected 0"
    for worker, status in soak.exit_statuses.items():
        if status:
            yield f"{worker} ended with status {status}, expected 0"
    for process in soak.left_behind:
        yield f"left behind: {process}"
