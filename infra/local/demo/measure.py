"""From what was sampled to what is reported: peaks, leftovers, quantiles. No arithmetic on the fleet's numbers here."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from infra.budget import jobs_for
from infra.budget.solution import Datastore, Solution
from infra.local.demo.report import Counted, DatastoreSeen, Durations, FleetSeen, Told
from infra.local.gauges import Gauges, Histogram
from infra.local.kernel import Sample
from infra.local.stack import REDIS, Stack
from infra.local.watch import Watch


@dataclass(frozen=True)
class Idle:
    """The same moment by gauge and by kernel, when no call was left and the workers were still there."""

    gauges: dict[str, Gauges]
    kernel: Sample

    def settled(self, solution: Solution) -> bool:
        """True when nothing of any job is left, and gauges and kernel say the same."""
        return (
            not any(self.kernel.slots.values())
            and not any(gauges.running for gauges in self.gauges.values())
            and all(self._only_workers_own(solution.datastores[name]) for name in self.kernel.connections)
        )

    def _only_workers_own(self, datastore: Datastore) -> bool:
        reported = [gauges.total(datastore.name) for gauges in self.gauges.values()]
        within_share = all(connections <= datastore.per_worker for connections in reported)
        return within_share and sum(reported) == self.kernel.connections[datastore.name]


def everyone_but_operators(datastore: Datastore) -> int:
    """The budget's sum up to the reserve's row."""
    return next(row.start for row in datastore.rows if row.kind == "reserve")


def datastores_seen(stack: Stack, watch: Watch, idle: Idle, left: Sample) -> dict[str, DatastoreSeen]:
    return {
        name: DatastoreSeen(
            name=name,
            title=stack.solution.datastores[name].title,
            budget=everyone_but_operators(stack.solution.datastores[name]),
            limit=stack.solution.datastores[name].limit,
            limit_enforced=name == REDIS or (name in stack.further and stack.further[name].refuses),
            per_worker=stack.solution.datastores[name].per_worker,
            peak=stack.kernel.peak(name),
            left=left.connections[name],
            idle_gauges={worker: gauges.total(name) for worker, gauges in idle.gauges.items()},
            idle_kernel=idle.kernel.connections[name],
            durations=_durations(name, watch.latest.values()),
        )
        for name in stack.kernel.endpoints
    }


def _durations(datastore: str, workers: Iterable[Gauges]) -> Durations:
    gauges = list(workers)
    opening = Histogram.merged(g.opening[datastore] for g in gauges if datastore in g.opening)
    checkout = Histogram.merged(g.checkout[datastore] for g in gauges if datastore in g.checkout)
    return Durations(opening.count, opening.quantile(0.5), opening.quantile(0.99), checkout.quantile(0.99))


def fleet_seen(stack: Stack, watch: Watch, workers: int) -> FleetSeen:
    fleet, samples = stack.solution.fleet, stack.kernel.samples
    by_lock = {name: max(s.slots.get(name, 0) for s in samples) for name in stack.kernel.slot_directories}
    return FleetSeen(
        slots=fleet.slots,
        workers=workers,
        peak_workers=stack.peak_workers,
        workers_at_peak=fleet.workers_at_peak,
        jobs_at_peak=jobs_for(fleet.workers_at_peak, fleet.slots),
        peak_jobs=max(sum(s.slots.values()) for s in samples),
        peak_jobs_by_worker={
            name: max(jobs, watch.peak_running.get(name, 0)) for name, jobs in by_lock.items()
        },
        gauge_slots={name: gauges.slots for name, gauges in watch.latest.items()},
        killed_by_gauge=sum(gauges.outcomes.get("killed", 0) for gauges in watch.latest.values()),
        exit_statuses=stack.exit_statuses,
    )


def counted(stack: Stack) -> list[Counted]:
    samples = stack.kernel.samples
    return [Counted(round(s.at - samples[0].at, 2), s.connections, s.slots) for s in samples]


def told(stack: Stack, watch: Watch) -> list[Told]:
    start = stack.kernel.samples[0].at
    return [
        Told(
            at=round(at - start, 2),
            connections={
                name: sum(g.total(name) for g in gauges.values()) for name in stack.kernel.endpoints
            },
            granted={
                name: sum(g.budget.get(name, 0) for g in gauges.values()) for name in stack.kernel.endpoints
            },
            slots=sum(g.slots for g in gauges.values()),
        )
        for at, gauges in watch.series
        if gauges
    ]
