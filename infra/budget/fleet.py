"""How many workers the promise takes, and how many may be there at once."""

from __future__ import annotations

from infra.budget.arithmetic import ceil
from infra.budget.solution import Fleet
from infra.config import FastRolling, FleetConfig


def fleet_of(config: FleetConfig) -> Fleet:
    """The fleet of one cell."""
    jobs = jobs_per_cell(config.jobs, config.cells)
    max_replicas = ceil(jobs, config.slots)
    rolling = config.rolling
    if isinstance(rolling, FastRolling):
        # Each rollout leaves a whole fleet draining; surge pods belong to the new one. Measured on Kubernetes 1.34:
        # a rollout of 4 with surge 2 peaked at 8 pods.
        spare = rolling.rollouts_per_grace_period * max_replicas
    else:
        spare = rolling.surge + rolling.failure_spare
    workers_at_peak = max_replicas + spare
    return Fleet(
        jobs=jobs,
        cells=config.cells,
        slots=config.slots,
        idle_processes=config.idle_processes,
        job_processes_per_worker=config.slots + config.idle_processes,
        max_replicas=max_replicas,
        spare=spare,
        workers_at_peak=workers_at_peak,
        quota_pods=workers_at_peak,
        mode=config.rolling.mode,
        surge=config.rolling.surge,
    )


def jobs_for(workers: int, slots: int) -> int:
    """The promise that so many workers can keep."""
    return workers * slots


def jobs_per_cell(jobs: int, cells: int) -> int:
    """The promise of each cell when so many cells share one."""
    return ceil(jobs, cells)


def tenth_of(workers: int) -> int:
    """A surge or a spare in proportion to the fleet."""
    return ceil(workers, 10)


def machines_for(workers: int, workers_per_machine: int) -> int:
    """Machines that take so many workers."""
    return ceil(workers, workers_per_machine)
