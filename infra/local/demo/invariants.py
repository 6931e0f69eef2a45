"""The verdict: every promise that the demo can check, and the sentence with figures for each that was broken."""

from __future__ import annotations

from collections.abc import Iterator

from infra.local.caller import Outcome
from infra.local.demo.report import DatastoreSeen, FleetSeen, Report

# "Within seconds of any death": the worker sweeps once a second; the rest is for a machine that is busy.
GAUGE_SECONDS = 5.0


def broken(report: Report) -> list[str]:
    """One sentence for each broken invariant; empty when all held."""
    return [
        *_calls(report),
        *_fleet(report.fleet),
        *(sentence for datastore in report.datastores.values() for sentence in _datastore(datastore)),
        *_leftovers(report),
    ]


def _calls(report: Report) -> Iterator[str]:
    for call in report.calls:
        if call.outcome is Outcome.LOST:
            yield f"call lost: {call.room}: {call.detail}"
    first_calls = [call for call in report.calls if not call.again]
    if len(first_calls) != report.calls_wanted:
        yield f"calls placed: {len(first_calls)} of {report.calls_wanted}"
    if not report.count(Outcome.ANSWERED):
        yield "calls answered: none"
    for room in report.transcripts_missing:
        yield f"transcript missing or incomplete in MongoDB: {room} was answered"
    yield from _killed(report)


def _killed(report: Report) -> Iterator[str]:
    if report.kill is None:
        yield "no job was killed: no call was in progress to kill it in"
    elif report.kill.gauge_seconds is None:
        yield f"killed job: not counted by the gauges of {report.kill.worker} within {GAUGE_SECONDS:g} s"
    killed, expected = report.count(Outcome.KILLED), 1 if report.kill else 0
    if killed != expected:
        yield f"calls ended by the one killed job: {killed}, expected {expected}"
    if report.fleet.killed_by_gauge != expected:
        yield f'agent_jobs_total{{outcome="killed"}}: {report.fleet.killed_by_gauge}, expected {expected}'


def _fleet(fleet: FleetSeen) -> Iterator[str]:
    for worker, jobs in fleet.peak_jobs_by_worker.items():
        if jobs > fleet.slots:
            yield f"jobs at once on {worker}: {jobs}, above its {fleet.slots} slots"
    if fleet.peak_jobs > fleet.jobs_at_peak:
        yield f"jobs at once in all: {fleet.peak_jobs}, above the {fleet.jobs_at_peak} of the budget"
    if fleet.peak_workers > fleet.workers_at_peak:
        yield f"workers at once: {fleet.peak_workers}, above the {fleet.workers_at_peak} of the budget"
    for worker, slots in fleet.gauge_slots.items():
        if slots != fleet.slots:
            yield f"agent_job_slots of {worker}: {slots}, expected {fleet.slots}"
    for worker, status in fleet.exit_statuses.items():
        if status != 0:
            yield f"{worker} ended with status {status}, expected 0"


def _datastore(seen: DatastoreSeen) -> Iterator[str]:
    if seen.peak > seen.budget:
        yield f"{seen.title}: {seen.peak} connections in the kernel, above the budget of {seen.budget}"
    if seen.left:
        yield f"{seen.title}: {seen.left} connections in the kernel after all workers are gone, expected 0"
    for worker, connections in seen.idle_gauges.items():
        if connections > seen.per_worker:
            yield (
                f"{seen.title}: {worker} reports {connections} connections without a job, "
                f"above the {seen.per_worker} of a worker (a ghost, or a leak)"
            )
    if sum(seen.idle_gauges.values()) != seen.idle_kernel:
        yield (
            f"{seen.title}: gauges report {sum(seen.idle_gauges.values())} connections without a job, "
            f"the kernel counts {seen.idle_kernel}"
        )


def _leftovers(report: Report) -> Iterator[str]:
    for worker, running in report.leftovers.running.items():
        if running:
            yield f"agent_jobs_running of {worker}: {running} when no call was left, expected 0"
    for worker, slots in report.leftovers.slots.items():
        if slots:
            yield f"{worker}: {slots} slots still locked at the end, expected 0"
    for process in report.leftovers.processes:
        yield f"left behind: {process}"
